"""Modules of your own: any torch module that maps prompts to predictions, in place of a transformer."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import field, replace
from typing import Any, Literal, Self

import torch
from pydantic import Field, ValidationInfo, model_validator
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from iclab.foundations import InvalidInputError
from iclab.foundations.own_code import CodeNotAllowedError, defined_at, import_object, own_errors
from iclab.models.architecture import Architecture
from iclab.models.taps import tap, watched
from iclab.models.transformer import Transformer
from iclab.prompts.labels import REAL, Labels
from iclab.prompts.reading import STRICT, code_allowed, keep_consent, note_consent

# Tokens of the prompts of many positions in one pass.
_TOKENS = 1 << 16


@dataclass(frozen=True, kw_only=True, config=STRICT)
class OwnModel:
    """A module of your own in a configuration, made by an importable class or function.

    What it makes is a ``torch.nn.Module`` whose ``forward(xs, ys, queries=None)`` maps inputs (B, P, d) and labels
    (B, P), (B, P, k) or classes (B, P) to what is predicted at every position: a number (B, P), a vector (B, P, k) or
    logits (B, P, k). Position i may use the first i examples and its query, ``xs[:, i]`` where no queries are given. A
    module without the argument ``queries`` answers shifted ones by a prompt per position. The configuration holds the
    name, not the code, and reading it imports nothing (docs/security.md).

    Attributes
    ----------
    object : str
        ``module:object``.
    arguments : mapping
        Keyword arguments that it is called with.
    head : {"mean", "mean_variance", "classes"}, optional
        As in ``Architecture``; "classes" or "mean" when omitted, as the labels are. For "mean_variance" the module has
        one more axis, of the mean and the logarithm of the variance.
    dimension, outputs : int, optional
        Of the prompts; found from them when omitted.
    """

    kind: Literal["own"] = "own"
    object: str
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    head: Literal["mean", "mean_variance", "classes"] | None = None
    dimension: int | None = Field(default=None, ge=0)
    outputs: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _note_consent(self, info: ValidationInfo) -> Self:
        note_consent(self, self.object, info)
        return self

    # What an architecture says too: nothing is known of a module's inside.
    positions = "none"
    bounded = False
    max_points = 2**31
    kinds = ("own",)

    def of(self, dimension: int, labels: Labels) -> OwnModel:
        """The same for prompts of this dimension with these labels; what it says itself is kept."""
        head = self.head or ("classes" if labels.kind == "class" else "mean")
        dimension = dimension if self.dimension is None else self.dimension
        outputs = labels.size if self.outputs is None else self.outputs
        return keep_consent(replace(self, head=head, dimension=dimension, outputs=outputs), self)

    @property
    def labels(self) -> Labels:
        """What the labels of its prompts are."""
        size = self.outputs or 1
        if self.head == "classes":
            return Labels("class", size)
        return REAL if size == 1 else Labels("vector", size)

    @property
    def answer_shape(self) -> tuple[int, ...]:
        """Shape of what is said at one position."""
        numbers = self.labels.answer_shape
        return (*numbers, 2) if self.head == "mean_variance" else numbers


class OwnModule(nn.Module):
    """A module of your own as a model.

    Parameters
    ----------
    architecture : OwnModel
        What to make.
    seed : int or None
        Seed of torch while it is made, so that its weights are a function of it.

    Attributes
    ----------
    net : Module
        What was made.
    asks : bool
        Whether its ``forward`` takes queries.
    n_train : int or None
        Number of examples N that it was trained for, if known.

    Raises
    ------
    InvalidInputError
        If running the code was not allowed, there is no such object, it does not take the arguments, or it makes no
        module.
    """

    def __init__(self, architecture: OwnModel, seed: int | None = 0) -> None:
        super().__init__()
        if not code_allowed(architecture):
            raise CodeNotAllowedError(architecture.object)
        self.architecture = architecture
        self.n_train: int | None = None
        make = import_object(architecture.object)
        with torch.random.fork_rng(devices=[]), own_errors(architecture.object, "must take the arguments given"):
            torch.manual_seed(0 if seed is None else seed % 2**63)
            net: Any = make(**architecture.arguments)
        if not isinstance(net, nn.Module) or not any(True for _ in net.parameters()):
            raise InvalidInputError(
                f"{architecture.object} must make a torch.nn.Module with parameters; a {type(net).__name__} was made."
            )
        if any(isinstance(parameter, UninitializedParameter) for parameter in net.parameters()):
            raise InvalidInputError(
                f"{architecture.object} must make a module whose weights have shapes; some of a {type(net).__name__} "
                "are made lazily: give their sizes."
            )
        if not any(parameter.requires_grad for parameter in net.parameters()):
            raise InvalidInputError(f"{architecture.object} must have parameters that are trained; all are frozen.")
        self._hold(net)

    @classmethod
    def around(cls, net: nn.Module, architecture: OwnModel) -> Self:
        """A module that exists already, as a model of this description; nothing is imported."""
        model = cls.__new__(cls)
        nn.Module.__init__(model)
        model.architecture, model.n_train = architecture, None
        model._hold(net)
        return model

    def _hold(self, net: nn.Module) -> None:
        self.net = net
        self.asks = "queries" in inspect.signature(net.forward).parameters

    def forward(self, xs: Tensor, ys: Tensor, queries: Tensor | None = None, starts: Tensor | None = None) -> Tensor:
        """What the module predicts at every position, checked.

        Raises
        ------
        InvalidInputError
            If it raises, or returns another shape, or no real numbers.
        """
        del starts
        name = self.architecture.object
        with own_errors(name, "must map inputs and labels to predictions"), _tapped(self.net, len(xs)):
            if queries is None:
                said: Any = self.net(xs, ys)
            elif self.asks:
                said = self.net(xs, ys, queries=queries)
            else:
                said = self._one_by_one(xs, ys, queries)
        wanted = (*xs.shape[:2], *self.architecture.answer_shape)
        if not isinstance(said, Tensor) or said.shape != wanted:
            given = tuple(said.shape) if isinstance(said, Tensor) else type(said).__name__
            raise InvalidInputError(
                f"{name} must predict an array of shape {wanted}, one answer per position; {given} was returned"
                f"{defined_at(self.net.forward)}."
            )
        if not said.is_floating_point():
            kind = str(said.dtype).removeprefix("torch.")
            raise InvalidInputError(
                f"{name} must predict real numbers; {kind} was returned{defined_at(self.net.forward)}."
            )
        return said

    def _one_by_one(self, xs: Tensor, ys: Tensor, queries: Tensor) -> Tensor:
        """Prompts that differ at position i only, where the query stands, read there: many positions in a batch."""
        size, found = max(1, _TOKENS // (xs.shape[0] * xs.shape[1])), list[Tensor]()
        for start in range(0, xs.shape[1], size):
            stop = min(start + size, xs.shape[1])
            places = torch.arange(start, stop, device=xs.device)
            each = torch.arange(len(places), device=xs.device)
            shown = xs[:, None, :stop].repeat(1, len(places), 1, 1)  # (B, positions, stop, d)
            shown[:, each, places] = queries[:, start:stop]
            told = ys[:, None, :stop].repeat_interleave(len(places), 1)
            said = self.net(shown.flatten(0, 1), told.flatten(0, 1)).unflatten(0, (len(xs), -1))
            found.append(said[:, each, places])
        return torch.cat(found, 1)

    @property
    def blocks(self) -> nn.Module:
        """What Muon may take matrices from: the module's own ``blocks``, if it has such."""
        blocks = getattr(self.net, "blocks", None)
        return blocks if isinstance(blocks, nn.Module) else nn.Module()

    @property
    def n_parameters(self) -> int:
        """Number of trainable numbers."""
        return sum(parameter.numel() for parameter in self.parameters() if parameter.requires_grad)

    @property
    def products(self) -> int:
        """Multiply-adds of weight matrices at a position, if each is used once."""
        return sum(parameter.numel() for parameter in self.parameters() if parameter.ndim == 2)


@contextmanager
def _tapped(net: nn.Module, batch: int) -> Generator[None]:
    """While a watch is on, what named submodules read and answer passes taps: ``name.in`` and ``name.out``.

    The first tensor of each counts if its first or second axis is that of the prompts; a submodule's second call is
    ``name.out[1]``.
    """
    calls, handles = Counter[str](), []

    def pass_on(module: nn.Module, name: str, found: Any) -> Any:
        number = calls[name]
        calls[name] += 1
        # Recurrences and attention of torch say which axis comes first.
        first = getattr(module, "batch_first", True)
        return _replaced(found, f"{name}[{number}]" if number else name, batch, first)

    if watched():
        for name, module in net.named_modules():
            if name:
                handles.append(
                    module.register_forward_pre_hook(lambda part, given, name=name: pass_on(part, f"{name}.in", given))
                )
                handles.append(
                    module.register_forward_hook(lambda part, _, out, name=name: pass_on(part, f"{name}.out", out))
                )
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _replaced(found: Any, name: str, batch: int, prompts_first: bool) -> Any:
    """A tensor, or a tuple whose first member is one, after the tap; anything else as it is."""
    if isinstance(found, tuple) and found:
        return (_replaced(found[0], name, batch, prompts_first), *found[1:])
    if not isinstance(found, Tensor) or not found.is_floating_point():
        return found
    places = [place for place in ((0, 1) if prompts_first else (1, 0)) if found.shape[place : place + 1] == (batch,)]
    if not places:
        return found
    axes = ("prompt", *(f"axis {i}" for i in range(1, found.ndim)))
    return tap(name, found.movedim(places[0], 0), axes).movedim(0, places[0])


Model = Transformer | OwnModule
"""What is trained, saved and loaded: a transformer, or a module of your own."""


def make(architecture: Architecture | OwnModel, seed: int | None = 0) -> Model:
    """The model of a description, its weights a function of the seed.

    Parameters
    ----------
    architecture : Architecture or OwnModel
        The description.
    seed : int, optional
        Of the weights; None leaves them as they are.

    Raises
    ------
    InvalidInputError
        If it is a module of your own that may not run, or cannot be made.
    """
    return OwnModule(architecture, seed) if isinstance(architecture, OwnModel) else Transformer(architecture, seed)
