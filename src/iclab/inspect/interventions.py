"""Reaching into a forward pass: activations are ablated, patched from another prompt, or clamped.

A model with an intervention is a predictor like any other: it can be evaluated, compared, looked into and intervened on
again.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias

import numpy as np
from torch import Tensor

from iclab.foundations import Draws, InvalidInputError, check_choice, check_integer
from iclab.inspect.activations import names_of, run
from iclab.inspect.cache import Cache, check_activation, chosen
from iclab.inspect.edits import Edit, Edits, Intervened, Source, check_head_of
from iclab.inspect.opening import Inspectable, opened
from iclab.models.taps import watching
from iclab.prompts import Prompts

Replacement: TypeAlias = Literal["zero", "mean", "resample"]


def ablate(
    model: Inspectable,
    part: str,
    *,
    head: int | None = None,
    how: Replacement = "zero",
    over: Prompts | None = None,
    seed: int = 0,
) -> Intervened:
    """The model without a part: a head, attention or the MLP of a block, a whole block, or any activation.

    Parameters
    ----------
    model : str, Path, Transformer, OwnModule or predictor
        As in ``run``.
    part : str
        Such as ``blocks.0.attention``, ``blocks.0.mlp``, ``blocks.0.mixer``, or ``blocks.0``: what it adds to the
        stream is replaced. Or the name of an activation.
    head : int, optional
        One head of attention, or of a mixer with heads, instead of all: what it mixes is replaced.
    how : {"zero", "mean", "resample"}
        By 0, by its mean at every token over other prompts, or by its value on another one, drawn for every prompt.
    over : Prompts, optional
        The other prompts, of as many positions as those that will be answered; "mean" and "resample" need them.
    seed : int
        Of the draws.

    Returns
    -------
    Intervened
        A predictor.

    Raises
    ------
    InvalidInputError
        If there is no such part or head, or prompts are missing.

    Examples
    --------
    The only head of a linear self-attention layer is all that it predicts with:

    >>> from iclab.models import Architecture, Transformer
    >>> from iclab.prompts import Gaussian, Linear, PromptDistribution
    >>> prompts = PromptDistribution(Gaussian.isotropic(3), Linear()).sample(8, 5, seed=0)
    >>> layer = Transformer(Architecture.lsa(3, 5))
    >>> bool((ablate(layer, "blocks.0.attention", head=0)(prompts) == 0).all())
    True
    """
    predictor = opened(model)
    names = activations_of(predictor, part, head)
    return replaced(predictor, names, head, how, sources(predictor, names, how, over), seed)


def patch(
    model: Inspectable,
    cache: Cache,
    names: str | Sequence[str] | None = None,
    *,
    head: int | None = None,
    tokens: Sequence[int] | None = None,
) -> Intervened:
    """The model with activations of other prompts in place of its own.

    Parameters
    ----------
    model : str, Path, Transformer, OwnModule or predictor
        As in ``run``.
    cache : Cache
        As ``run`` gives it: prompt i gets the activations of prompt i there, or of its only one.
    names : str or sequence of str, optional
        Activations, or patterns; all of the cache when omitted.
    head : int, optional
        The only head that is patched.
    tokens : sequence of int, optional
        The only tokens that are patched, by their numbers in ``cache.tokens``.

    Returns
    -------
    Intervened
        A predictor of as many prompts as the cache has.

    Raises
    ------
    InvalidInputError
        If there is no such activation or head.
    """
    predictor = opened(model)
    if not isinstance(cache, Cache):
        raise InvalidInputError(f"cache must be a Cache, as run returns it; a {type(cache).__name__} was given.")
    some = None if tokens is None else tuple(check_integer(token, "tokens", minimum=0) for token in tokens)
    for token in some or ():
        if token >= len(cache.tokens):
            raise InvalidInputError(
                f"tokens must be among the {len(cache.tokens)} of a prompt, from 0; {token} was given."
            )
    edits = {}
    for name in chosen(names, list(cache)):
        check_head_of(cache[name].shape, cache.axes[name], head, name)
        edits[name] = Edit(_rows_of(cache[name]), head, some, True)
    return Intervened(predictor, edits)


@contextmanager
def clamp(name: str, to: float | Callable[[Tensor], Tensor], *, head: int | None = None) -> Generator[None]:
    """Hold an activation fixed in all forward passes within, those of a training among them.

    Gradients flow through what replaces it. A training that is begun within names the activation in every line of its
    metrics and in the card of its model; ``clamp`` in its configuration is what it also goes on with and can repeat.

    Parameters
    ----------
    name : str
        An activation, as in ``run``.
    to : float or callable
        A number, or a function of the tensor, such as one that keeps it from changing.
    head : int, optional
        The only head that is held.

    Raises
    ------
    InvalidInputError
        At the end, if no such activation has passed.

    Examples
    --------
    >>> from iclab.models import Architecture, Transformer
    >>> from iclab.prompts import Gaussian, Linear, PromptDistribution
    >>> prompts = PromptDistribution(Gaussian.isotropic(3), Linear()).sample(8, 5, seed=0)
    >>> with clamp("blocks.0.attention.pattern", lambda pattern: pattern.mean((0, 1), keepdim=True)):
    ...     predictions, _ = run(Transformer(Architecture.gpt2(3, 3, 5)), prompts)
    """
    watch = Edits({name: Edit(to, head)})
    with watching(watch):
        yield
    check_activation(name, watch.seen)


def sources(predictor: Any, names: Sequence[str], how: str, over: Prompts | None) -> Cache | None:
    """Activations to take values from; None where 0 will do.

    Raises
    ------
    InvalidInputError
        If there is no such way, or prompts are missing.
    """
    if check_choice(how, "how", ("zero", "mean", "resample")) == "zero":
        return None
    if over is None:
        raise InvalidInputError(f"how={how!r} must have prompts to take values from; give them as over=….")
    return run(predictor, over, names)[1]


def replaced(
    predictor: Any, names: Sequence[str], head: int | None, how: str, cache: Cache | None, seed: int
) -> Intervened:
    """The model with activations, or one head of them, replaced in that way."""
    if cache is None:
        return Intervened(predictor, {name: Edit(0.0, head) for name in names})
    return Intervened(predictor, {name: Edit(_source(cache[name], how, seed), head, None, True) for name in names})


def activations_of(predictor: Any, part: str, head: int | None) -> list[str]:
    """The activations that are replaced where a part is ablated."""
    known = names_of(predictor)
    if known is None:  # a module of one's own, of which names are known when it is called
        return [part]
    if part in known:
        names = [part]
    elif head is not None:
        names = [name for name in (f"{part}.mixed", f"{part}.read") if name in known]
        if not names and f"{part}.out" in known:
            names = [f"{part}.out"]  # without heads, which is said below
    else:
        outs = [f"{each}.out" for each in (part, f"{part}.attention", f"{part}.mixer", f"{part}.mlp")]
        names = [name for name in outs if name in known]
    if not names:
        parts = {name.rpartition(".")[0] for name in known if name.endswith(".out")}
        check_activation(part, sorted(parts))
    for name in names:
        axes, shape, _ = known[name]
        check_head_of((0, *shape), axes, head, name)
    return names


def _source(values: np.ndarray, how: str, seed: int) -> Source:
    if how == "mean":
        mean = values.mean(axis=0, keepdims=True, dtype=np.float64)
        return lambda prompts: mean

    def drawn(prompts: slice) -> np.ndarray:
        draws = Draws(seed, start=prompts.start, count=prompts.stop - prompts.start)
        return values[(draws.uniforms("bootstrap", 1)[:, 0] * len(values)).astype(int)]

    return drawn


def _rows_of(values: np.ndarray) -> Source:
    def rows(prompts: slice) -> np.ndarray:
        if len(values) == 1:
            return values
        if prompts.stop > len(values):
            raise InvalidInputError(
                f"prompts must be as many as those of the cache, {len(values)}, or it must have one; more were given."
            )
        return values[prompts]

    return rows
