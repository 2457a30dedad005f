"""What a model is, as data: enough to build it, to store it and to check a prompt against it."""

from __future__ import annotations

from functools import wraps
from typing import Any, Literal, Self, get_args

from pydantic import ConfigDict, Field, ValidationError, model_serializer, model_validator
from pydantic.dataclasses import dataclass

from iclab.foundations import InvalidInputError, check_choice
from iclab.prompts.labels import REAL, Labels

SIZES: dict[int, tuple[int, int]] = {3: (64, 2), 6: (128, 4), 12: (256, 8)}
"""Garg et al.'s sizes: number of layers to width and heads."""

Attending = Literal["softmax", "linear", "merged"]
Mixer = Literal[
    "softmax", "linear", "merged", "retention", "gla", "delta", "gated_delta", "mesa", "mamba2", "lstm", "gru"
]
ATTENTION: tuple[Attending, ...] = get_args(Attending)
"""The mixers that are attention: each token weighs the tokens that it sees."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Architecture:
    """A transformer of the GPT-2 family, from one linear attention layer to GPT-2 itself.

    Attributes
    ----------
    dimension : int
        Length d of an input x; 0 for sequences of labels without inputs.
    max_points : int
        Largest number of positions P of a prompt. Learned positions need a bound; the other kinds
        keep it as the length the model was made for.
    width, layers, heads : int
        Size of a token, depth, attention heads per layer.
    embedding : {"interleaved", "stacked"}
        x_1, (y_1, 0, …), x_2, … as in Garg et al. (2022), or columns (x, y) with a query (x_q, 0) as in
        (4) of Zhang, Frei and Bartlett (2024), causal over the columns.
    read_in : {"linear", "identity"}
        "linear" maps tokens to the width and back to a number by learned maps; "identity" uses the stacked
        columns as they are (width d + 1) and reads the label's coordinate of the query, as in (5)-(6).
    attention : {"softmax", "linear", "merged"}
        Softmax with Q, K, V, P; the same without softmax, divided by the number ρ of examples seen; or linear with
        merged matrices W^PV and W^KQ per head, exactly (3).
    positions : {"learned", "shifted", "none", "rotary", "alibi"}
        How a token knows where it stands. "shifted" are learned positions at a random one of which every training
        prompt begins, so that shorter prompts train all ``max_points``; elsewhere prompts begin at the first.
    activation : {"gelu_new", "gelu"}
        Of the MLP: GPT-2's GELU through tanh, or the exact one through erf (they differ by less than 5e-4, and on CPUs
        the exact one takes half of the time or less). The names are Hugging Face's.
    mlp, residual, layer_norm : bool
        Parts of a block that can be left out.
    tied : bool
        Whether one block is applied ``layers`` times: the same as ``loops`` of one layer.
    mixers : tuple of str
        A mixer for each layer, instead of ``attention`` in all; fewer than ``layers`` are repeated in their order.
        Beside attention: "retention", "gla" (gated linear attention), "delta" and "gated_delta" (DeltaNet), "mesa",
        "mamba2", "lstm", "gru" (see ``iclab.models.mixers``). They know the order of tokens without ``positions``.
    convolution : int, optional
        Tokens of the short convolution before "retention", "gla", "delta", "gated_delta", "mesa" and "mamba2", 0 for
        none; as published when omitted: none for the first two, 4 for the others.
    keys : {"unit", "plain"}, optional
        Whether queries and keys of the first five of these have norm 1; as published when omitted: those of "delta",
        "gated_delta" and "mesa".
    bare : bool
        Whether these six end in what they read, times the output matrix, without a norm and a gate between.
    loops : int
        How often the whole stack of ``layers`` is applied (a looped transformer); a model may be read with more than it
        was trained with (``TransformerPredictor.looped``).
    inject : bool
        Whether the input is added again before every further loop, as in Yang et al. (2024).
    head : {"mean", "mean_variance", "classes"}
        What is answered at a position: a label; its mean and the logarithm of its variance, for a Gaussian likelihood;
        or logits of the classes that it may be.
    outputs : int
        Numbers of a label: 1, the length k of a vector, or the number k of classes.

    Raises
    ------
    InvalidInputError
        If a size is below 1, a word unknown, or the parts do not go together.
    """

    dimension: int = Field(ge=0, le=4096)
    max_points: int = Field(ge=1, le=10**7)
    width: int = Field(default=64, ge=1, le=65536)
    layers: int = Field(default=3, ge=1, le=10**4)
    heads: int = Field(default=2, ge=1, le=65536)
    embedding: Literal["interleaved", "stacked"] = "interleaved"
    read_in: Literal["linear", "identity"] = "linear"
    attention: Attending = "softmax"
    positions: Literal["learned", "shifted", "none", "rotary", "alibi"] = "learned"
    activation: Literal["gelu_new", "gelu"] = "gelu_new"
    mlp: bool = True
    residual: bool = True
    layer_norm: bool = True
    tied: bool = False
    mixers: tuple[Mixer, ...] = ()
    convolution: int | None = Field(default=None, ge=0)
    keys: Literal["unit", "plain"] | None = None
    bare: bool = False
    loops: int = Field(default=1, ge=1, le=10_000)
    inject: bool = False
    head: Literal["mean", "mean_variance", "classes"] = "mean"
    outputs: int = Field(default=1, ge=1, le=65536)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.mixers and self.attention != "softmax":
            raise ValueError(f"give mixers or attention, not both; {self.mixers} and {self.attention!r} were given")
        if self.mixers and (self.layers % len(self.mixers) or (self.tied and len(self.mixers) > 1)):
            blocks = "the one block of a tied model" if self.tied else f"a divisor of the {self.layers} layers"
            raise ValueError(f"mixers must be as many as {blocks}, over which they repeat; {self.mixers} were given")
        if self.tied and self.loops > 1:
            raise ValueError(f"loops must be 1 for a tied model, whose layers they are; {self.loops} was given")
        kinds = set(self.kinds)
        if kinds - {"merged", "lstm", "gru"} and self.width % self.heads:
            raise ValueError(f"width must be a multiple of heads; {self.width} and {self.heads} were given")
        turned = kinds & {"softmax", "linear"} and "merged" not in kinds
        if self.positions == "rotary" and (not turned or (self.width // self.heads) % 2):
            raise ValueError("rotary positions need separate queries and keys with an even width per head")
        if self.positions == "alibi" and ("softmax" not in kinds or kinds & {"linear", "merged"}):
            raise ValueError("ALiBi is a bias on softmax scores; use it with softmax attention")
        columns = self.dimension + self.outputs
        if self.read_in == "identity" and (self.embedding != "stacked" or self.width != columns):
            raise ValueError(
                f"read_in 'identity' needs the stacked embedding and width dimension + {self.outputs} = {columns}; "
                f"{self.embedding!r} and {self.width} were given"
            )
        self._check_head()
        return self

    def _check_head(self) -> None:
        if self.read_in == "identity" and self.head != "mean":
            raise ValueError(f"read_in 'identity' answers labels themselves, head 'mean'; {self.head!r} was given")
        if self.head == "classes" and self.outputs < 2:
            raise ValueError(f"outputs must be the number of classes, at least 2; {self.outputs} was given")
        if self.dimension == 0 and (self.labels == REAL or self.embedding == "stacked"):
            raise ValueError(
                "dimension 0 is a sequence of classes or vectors, read as 'interleaved' tokens; "
                f"{self.labels.kind} labels and {self.embedding!r} were given"
            )

    @classmethod
    def gpt2(cls, layers: int, dimension: int, max_points: int) -> Architecture:
        """Garg et al.'s GPT-2 with 3, 6 or 12 layers, of width 64, 128 or 256."""
        width, heads = SIZES[int(check_choice(str(layers), "layers", map(str, SIZES)))]
        return cls(dimension=dimension, max_points=max_points, width=width, layers=layers, heads=heads)

    @classmethod
    def lsa(cls, dimension: int, max_points: int, *, layers: int = 1, heads: int = 1) -> Architecture:
        """The paper's linear self-attention (3)-(6); deeper or with more heads if asked."""
        return cls(
            dimension=dimension,
            max_points=max_points,
            width=dimension + 1,
            layers=layers,
            heads=heads,
            embedding="stacked",
            read_in="identity",
            attention="merged",
            positions="none",
            mlp=False,
            layer_norm=False,
        )

    @model_serializer(mode="wrap")
    def _as_before(self, dump: Any) -> dict[str, Any]:
        # Runs are kept under the digest of these data: fields that came later are left out where they say nothing.
        data = dump(self)
        return {key: value for key, value in data.items() if key not in _LATER or getattr(self, key) != _LATER[key]}

    @property
    def kinds(self) -> tuple[Mixer, ...]:
        """The mixer of every layer."""
        pattern: tuple[Mixer, ...] = self.mixers or (self.attention,)
        return pattern * (self.layers // len(pattern))

    @property
    def labels(self) -> Labels:
        """What the labels of its prompts are."""
        if self.head == "classes":
            return Labels("class", self.outputs)
        return REAL if self.outputs == 1 else Labels("vector", self.outputs)

    @property
    def answer_shape(self) -> tuple[int, ...]:
        """Shape of what is said at one position: (), or (k,), and with variances one more axis of 2."""
        numbers = () if self.outputs == 1 else (self.outputs,)
        return (*numbers, 2) if self.head == "mean_variance" else numbers

    @property
    def arrangement(self) -> str:
        """How prompts become tokens: "interleaved", "stacked", or without inputs "sequence"."""
        return self.embedding if self.dimension else "sequence"

    @property
    def token_size(self) -> int:
        """Length of a token before the read-in: d + outputs, but d for interleaved labels of one number."""
        return self.dimension + (0 if self.embedding == "interleaved" and self.labels == REAL else self.outputs)

    @property
    def bounded(self) -> bool:
        """Whether positions are rows of a learned table, so that no prompt may be longer than ``max_points``."""
        return self.positions in ("learned", "shifted")

    @property
    def n_positions(self) -> int:
        """Number of distinct positions that tokens of a longest prompt take."""
        return 2 * self.max_points if self.arrangement == "interleaved" else self.max_points


_LATER: dict[str, Any] = {
    "mixers": (),
    "convolution": None,
    "keys": None,
    "bare": False,
    "loops": 1,
    "inject": False,
    "head": "mean",
    "outputs": 1,
}


def _in_one_sentence(initialise: Any) -> Any:
    """An ``__init__`` that refuses with one sentence what pydantic refuses with a report."""

    @wraps(initialise)
    def checked(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            initialise(self, *args, **kwargs)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            reason = first["msg"].removeprefix("Value error, ")
            if place:
                reason = f"{place} is not as it must be: {reason}"
                reason += "" if first["type"] == "missing" else f"; {first['input']!r} was given"
            raise InvalidInputError(f"{reason}.") from error

    return checked


# Within a configuration pydantic makes the record without this and names the place in the whole.
Architecture.__init__ = _in_one_sentence(Architecture.__init__)
