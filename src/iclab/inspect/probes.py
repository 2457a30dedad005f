"""Probes: what a linear map reads from an activation, beside what it reads of a control and in an untrained model."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float64

from iclab.foundations import InvalidInputError, check_choice, check_integer
from iclab.inspect.activations import activations, run
from iclab.inspect.cache import Cache, chosen
from iclab.inspect.opening import Inspectable, ModulePredictor, opened
from iclab.inspect.quantities import QUANTITIES, Quantity, quantity_of
from iclab.inspect.ridge import leave_one_out
from iclab.models import Transformer, TransformerPredictor, make
from iclab.prompts import Prompts

if TYPE_CHECKING:
    import pandas as pd

STREAM = ("embedding", "*.residual_out")
"""The stream of a transformer, before the first block and after each."""
# What people write for a quantity, in lower case.
_SYMBOLS = {
    "w_ols": "least_squares",
    "ols": "least_squares",
    "w_hat": "least_squares",
    "ŵ": "least_squares",
    "x'y": "moment",
    "xty": "moment",
    "w": "weights",
    "sigma": "noise_level",
    "σ": "noise_level",
}


def probe(
    model: Inspectable,
    prompts: Prompts,
    targets: str | Sequence[str] | Mapping[str, str | Quantity] = ("moment", "least_squares"),
    keep: str | Sequence[str] | None = None,
    *,
    at: Literal["query", "label"] = "query",
    positions: Sequence[int] | None = None,
    folds: int = 4,
    untrained: bool = True,
    seed: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> pd.DataFrame:
    """Ridge regressions from activations to quantities of the prompt, by activation and position.

    Every prompt is predicted from the others: they are split into ``folds``, and within those that are learned from the
    penalty has the smallest leave-one-out error. R² = 1 − Σ|y − ŷ|²/Σ|y − ȳ|² over prompts left out, so that it may be
    negative; its standard error is that of a ratio of means over prompts. Beside each target stands its control: the
    target of the next prompt, which no activation knows. A high R² counts as far as it exceeds both the control's and
    that of a model with its initial weights.

    Parameters
    ----------
    model : str, Path, Transformer, OwnModule or predictor
        As in ``run``.
    prompts : Prompts
        More than an activation has coordinates, or the ridge must do much.
    targets : str, sequence of str, or mapping
        Names in ``QUANTITIES``, or own names to these or to functions of the prompts, such as
        ``posterior_mean(distribution)``.
    keep : str or sequence of str, optional
        Activations, as in ``run``; the stream when omitted, or what submodules of a module of one's own answer at every
        position.
    at : {"query", "label"}
        Read at the token where position i is read out, or at the label of its last example (none at position 0). Both
        have seen i examples.
    positions : sequence of int, optional
        Where; all when omitted.
    folds : int
        At least 2.
    untrained : bool
        Whether the same is done with the model's architecture at its initial weights.
    seed : int
        Of these.
    progress : callable, optional
        Called with (what is done, done, in all).

    Returns
    -------
    DataFrame
        Columns model ("trained" or "untrained"), activation, block (−1 for what is in none), position, target, control
        (whether it is one), r2, stderr, penalty (the mean over folds of its logarithm to base 10, relative to the
        largest squared singular value), n. r2 is missing where a target does not vary.

    Raises
    ------
    InvalidInputError
        If there is no such target, activation or position, a target has another shape, or prompts are too few.

    Examples
    --------
    >>> from iclab.models import Architecture, Transformer
    >>> from iclab.prompts import Gaussian, Linear, PromptDistribution
    >>> prompts = PromptDistribution(Gaussian.isotropic(2), Linear()).sample(40, 4, seed=0)
    >>> table = probe(Transformer(Architecture.gpt2(3, 2, 4)), prompts, "moment", "embedding", untrained=False)
    >>> table.query("position == 3 and not control")["n"].tolist()
    [40]
    """
    import pandas as pd

    predictor = opened(model)
    folds = check_integer(folds, "folds", minimum=2)
    if len(prompts) < 2 * folds:
        raise InvalidInputError(f"prompts must be at least {2 * folds} for {folds} folds; {len(prompts)} were given.")
    found = {name: quantity_of(name, given, prompts) for name, given in _named(targets).items()}
    places = _places(positions, prompts.n_points, at)
    models: dict[str, Any] = {"trained": predictor}
    if untrained:
        models["untrained"] = at_start(predictor, seed)
    rows: list[dict[str, Any]] = []
    for kind, each in models.items():
        own = keep if keep is not None else stream_of(each, prompts)
        _, cache = run(each, prompts, own)
        for done, name in enumerate(cache):
            features = at_positions(cache, name, prompts.n_points, at)
            block = int(match[1]) if (match := re.match(r"blocks\.(\d+)\.", name)) else -1
            for position in places:
                base = {"model": kind, "activation": name, "block": block, "position": position}
                rows += [base | row for row in _rows(features[:, position], found, position, folds)]
            if progress is not None:
                progress(f"probes: {kind}", done + 1, len(cache))
    return pd.DataFrame(rows)


def stream_of(predictor: Any, prompts: Prompts) -> list[str]:
    """What is read layer by layer: the stream, or what submodules of a module of one's own answer at every position."""
    known = activations(predictor, prompts)
    if isinstance(predictor.model, Transformer):
        return chosen(STREAM, list(known["name"]))
    shapes = zip(known["name"], known["shape"], strict=True)
    return [str(name) for name, shape in shapes if name.endswith(".out") and shape[:1] == (prompts.n_points,)]


def at_start(model: Inspectable, seed: int = 0) -> TransformerPredictor:
    """A model with the weights that it would begin its training with, under a seed.

    Raises
    ------
    InvalidInputError
        If it is a bare module, of which nobody knows how it is made.
    """
    predictor = opened(model)
    if isinstance(predictor, ModulePredictor):
        raise InvalidInputError(
            f"a model must say how it is made to be compared with its start; {predictor.name} is a module: give "
            "untrained=False."
        )
    start = make(predictor.architecture, seed)
    parameter = next(predictor.model.parameters())
    start.to(parameter.device, parameter.dtype)
    return TransformerPredictor(start, "untrained")


def at_positions(
    cache: Cache, name: str, n_points: int, at: Literal["query", "label"] = "query"
) -> Float64[np.ndarray, "B P f"]:
    """An activation where each position is read, its other axes put together, in float64.

    Parameters
    ----------
    cache : Cache
        As ``run`` gives it.
    name : str
        Activation.
    n_points : int
        P.
    at : {"query", "label"}
        As in ``probe``; at "label" position 0 is 0.

    Raises
    ------
    InvalidInputError
        If it has no axis of tokens or positions.
    """
    check_choice(at, "at", ("query", "label"))
    values, axes = cache[name], cache.axes[name]
    if "token" in axes:
        tokens, axis = cache.tokens, axes.index("token")
        if at == "query" or (tokens["role"] == "start").any():
            chosen = tokens[tokens["position"] >= 0].sort_values("position")["token"]
        else:
            chosen = tokens[tokens["role"].isin(["label", "example"])].sort_values("example")["token"][: n_points - 1]
        values = np.take(values, chosen.to_numpy(), axis)
    else:
        axis = 1
        if values.ndim < 2 or values.shape[1] != n_points:
            raise InvalidInputError(
                f"{name} must have an axis of {n_points} positions to be probed; its shape is {values.shape}."
            )
    values = np.moveaxis(values, axis, 1)
    values = values.reshape(*values.shape[:2], -1).astype(np.float64)
    if values.shape[1] < n_points:
        values = np.concatenate([np.zeros_like(values[:, :1]), values], axis=1)
    return values


def _rows(
    features: Float64[np.ndarray, "B f"], found: Mapping[str, Float64[np.ndarray, "B P k"]], position: int, folds: int
) -> Iterator[dict[str, Any]]:
    """R² of all targets and their controls at one position, from one decomposition per fold."""
    values = [values[:, position] for values in found.values()]
    columns = [part for value in values for part in (value, np.roll(value, -1, axis=0))]
    groups = np.repeat(np.arange(len(columns)), [part.shape[1] for part in columns])
    targets = np.concatenate(columns, axis=1)
    fold_of = np.arange(len(features)) % folds
    squares, totals = np.empty(targets.shape), np.empty(targets.shape)
    penalties = np.empty((folds, targets.shape[1]))
    for fold in range(folds):
        out = fold_of == fold
        got = leave_one_out(features, targets, ~out, groups)
        squares[out], totals[out] = np.square(got.centred - got.predicted), np.square(got.centred)
        penalties[fold] = np.log10(got.penalties)
    for group in range(len(columns)):
        own = groups == group
        r2, stderr = _explained(squares[:, own].sum(axis=1), totals[:, own].sum(axis=1))
        name = list(found)[group // 2]
        yield {
            "target": name,
            "control": group % 2 == 1,
            "r2": r2,
            "stderr": stderr,
            "penalty": float(penalties[:, own].mean()),
            "n": len(features),
        }


def _explained(squares: Float64[np.ndarray, " n"], totals: Float64[np.ndarray, " n"]) -> tuple[float, float]:
    """1 − mean(squares)/mean(totals), and its standard error by the delta method."""
    whole = totals.mean()
    if whole == 0:
        return float("nan"), float("nan")
    ratio = squares.mean() / whole
    spread = (squares - ratio * totals).std(ddof=1) / np.sqrt(len(squares)) / whole
    return float(1 - ratio), float(spread)


def _named(targets: str | Sequence[str] | Mapping[str, str | Quantity]) -> dict[str, Quantity]:
    if not isinstance(targets, Mapping):
        targets = {name: name for name in ([targets] if isinstance(targets, str) else targets)}
    return {name: given if callable(given) else _known(given) for name, given in targets.items()}


def _known(name: Any) -> Quantity:
    """The quantity of a name; one who writes the symbol of a quantity is told its name."""
    if isinstance(name, str) and (meant := _SYMBOLS.get(name.lower())):
        raise InvalidInputError(
            f"a target must be one of {', '.join(QUANTITIES)}; {name!r} was given. Did you mean {meant!r}?"
        )
    return QUANTITIES[check_choice(name, "a target, where it is no function of prompts,", QUANTITIES)]


def _places(positions: Sequence[int] | None, n_points: int, at: str) -> list[int]:
    places = list(range(1 if at == "label" else 0, n_points)) if positions is None else list(positions)
    for position in places:
        if check_integer(position, "positions", minimum=0) >= n_points:
            raise InvalidInputError(f"positions must be below the prompts' {n_points}; {position} was given.")
    return places
