"""One family of transformers, from the paper's linear self-attention layer to GPT-2."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from iclab.foundations import Draws
from iclab.models.architecture import Architecture
from iclab.models.embedding import Layout, gathered, layout, tokens
from iclab.models.mixers import ATTENTION, MIXERS
from iclab.models.taps import ANSWERS, tap, through

_ALL = slice(None)


class Block(nn.Module):
    """A mixer, then an MLP, each on normalised tokens and added to what it read (pre-norm, as in GPT-2).

    Attributes
    ----------
    attention, mixer : Module
        What mixes tokens, by what it is: a block has one of the two.
    """

    def __init__(self, architecture: Architecture, kind: str) -> None:
        super().__init__()
        width = architecture.width
        self.residual = architecture.residual
        self.norm1 = nn.LayerNorm(width) if architecture.layer_norm else nn.Identity()
        self._mixes = "attention" if kind in ATTENTION else "mixer"
        self.add_module(self._mixes, MIXERS[kind](architecture, kind))
        if architecture.mlp:
            self.norm2 = nn.LayerNorm(width) if architecture.layer_norm else nn.Identity()
            activation = nn.GELU("tanh" if architecture.activation == "gelu_new" else "none")
            self.mlp = nn.Sequential(nn.Linear(width, 4 * width), activation, nn.Linear(4 * width, width))
        else:
            self.mlp = None

    @property
    def mixes(self) -> Any:
        """The mixer, attention or not."""
        return self._modules[self._mixes]

    def forward(self, x: Float[Tensor, "B T w"], where: Layout, rows: slice) -> Float[Tensor, "B R w"]:
        """The tokens ``rows`` after this block."""
        update = tap(f"{self._mixes}.out", self.mixes(self.norm1(x), where, rows))
        x = x[:, rows] + update if self.residual else update
        if self.mlp is None:
            return tap("residual_out", x)
        x = tap("residual_mid", x)
        wide, activation, narrow = self.mlp
        update = tap("mlp.out", narrow(tap("mlp.hidden", activation(wide(self.norm2(x))))))
        return tap("residual_out", x + update if self.residual else update)


class Transformer(nn.Module):
    """Maps prompts to the predictions at all their positions in one causal pass.

    Parameters
    ----------
    architecture : Architecture
        What to build.
    seed : int or None
        Seed of the initial weights, None to leave them to whoever loads some. GPT-2's law: N(0, 0.02²),
        residual projections divided by √(2·layers), read-in and read-out uniform within ±1/√(inputs). Merged
        attention starts from the paper's Assumption 3.

    Attributes
    ----------
    n_train : int or None
        Number of examples N that the weights were trained for, None where that is not known. It is kept with the
        weights on disk: positions beyond N may never have been trained.
    loops : int
        How often the blocks are applied where no other number is asked for: that of the architecture.
    """

    def __init__(self, architecture: Architecture, seed: int | None = 0) -> None:
        super().__init__()
        self.architecture = architecture
        self.n_train: int | None = None
        self.loops = architecture.loops
        width = architecture.width
        learned = architecture.read_in == "linear"
        self.read_in = nn.Linear(architecture.token_size, width) if learned else None
        self.positions = nn.Embedding(architecture.n_positions, width) if architecture.bounded else None
        kinds = architecture.kinds[: 1 if architecture.tied else None]
        self.blocks = nn.ModuleList(Block(architecture, kind) for kind in kinds)
        self.norm = nn.LayerNorm(width) if architecture.layer_norm else nn.Identity()
        numbers = architecture.outputs * (2 if architecture.head == "mean_variance" else 1)
        self.read_out = nn.Linear(width, numbers) if learned else None
        if seed is not None:
            _initialise(self, seed)

    def forward(
        self,
        xs: Float[Tensor, "B P d"],
        ys: Float[Tensor, "B P"] | Float[Tensor, "B P k"] | Int[Tensor, "B P"],
        queries: Float[Tensor, "B P d"] | None = None,
        starts: Int[Tensor, " B"] | None = None,
        loops: int | None = None,
        window: int | None = None,
    ) -> Float[Tensor, "*window B P *numbers"]:
        """Predictions for every position's query from the examples before it.

        Parameters
        ----------
        xs, ys : Tensor, shapes (B, P, d) and (B, P), or (B, P, k) for vectors
            Examples, classes as whole numbers; the last label is never used.
        queries : Tensor, shape (B, P, d), optional
            Query of each position, ``xs`` when omitted.
        starts : Tensor of int, shape (B,), optional
            Point of the table of learned positions at which each prompt begins, the first when omitted.
        loops : int, optional
            How often the blocks are applied; ``self.loops`` when omitted.
        window : int, optional
            If given, what is predicted after each of the last ``window`` loops, or all if there are fewer, on a new
            first axis; earlier loops have no gradient.

        Returns
        -------
        Tensor, shape (B, P), or (B, P, k)
            Position i has seen i examples. The head "classes" answers logits; "mean_variance" has one more axis, of the
            mean and the logarithm of the variance.
        """
        arrangement = self.architecture.arrangement
        if self.architecture.head == "classes":
            ys = nn.functional.one_hot(ys.long(), self.architecture.outputs).to(xs.dtype)
        where = layout(arrangement, xs.shape[1], queries is not None, xs.device)
        x = self._embedded(tokens(arrangement, xs, ys, queries), where, starts)
        loops = self.loops if loops is None else loops
        if window is None:
            return self._said(self._looped(x, where, loops))
        return self._window(x, where, loops, window)

    def answer(
        self,
        xs: Float[Tensor, "B N d"],
        ys: Float[Tensor, "B N"] | Float[Tensor, "B N k"] | Int[Tensor, "B N"],
        queries: Float[Tensor, "B Q d"],
    ) -> Float[Tensor, "B Q *numbers"]:
        """Predictions for Q queries of one context of N examples each, which is read once.

        Every query is a branch that sees the whole context and itself, or continues from the state that it left; N is
        at least 1.

        Parameters
        ----------
        xs, ys : Tensor, shapes (B, N, d) and (B, N), or (B, N, k) for vectors
            Examples.
        queries : Tensor, shape (B, Q, d)
            What is asked.
        """
        arrangement = self.architecture.arrangement
        if self.architecture.head == "classes":
            ys = nn.functional.one_hot(ys.long(), self.architecture.outputs).to(xs.dtype)
        where = gathered(arrangement, xs.shape[1], queries.shape[1], xs.device)
        # One position more than examples: of the last nothing but the query is read.
        xs, ys = (torch.cat([part, part[:, -1:]], 1) for part in (xs, ys))
        x = tokens(arrangement, xs, ys, xs)  # (B, C + N + 1, s)
        context = x[:, : where.context]
        asked = tokens(arrangement, queries, ys.new_zeros(len(ys), queries.shape[1], *ys.shape[2:]), queries)
        x = self._embedded(torch.cat([context, asked[:, -queries.shape[1] :]], 1), where, None)
        return self._said(self._looped(x, where, self.loops))

    def _embedded(self, x: Float[Tensor, "B T s"], where: Layout, starts: Tensor | None) -> Float[Tensor, "B T w"]:
        """Tokens as the blocks read them."""
        if self.read_in is not None:
            x = self.read_in(x)  # (B, T, w)
        if self.positions is not None:
            stride = self.architecture.n_positions // self.architecture.max_points
            shift = 0 if starts is None else stride * starts[:, None]
            x = x + self.positions(where.positions + shift)
        return tap("embedding", x)

    def _looped(self, x: Float[Tensor, "B T w"], where: Layout, loops: int) -> Float[Tensor, "B P w"]:
        """The tokens that are read out after so many loops: of the last block only they matter."""
        first = x
        for loop in range(loops):
            x = self._once(x, loop, first, where, where.readout if loop == loops - 1 else _ALL)
        return x

    def _window(self, x: Float[Tensor, "B T w"], where: Layout, loops: int, window: int) -> Tensor:
        """What is predicted after each of the last loops, which alone have a gradient."""
        first, said = x, list[Tensor]()
        for loop in range(loops):
            with torch.set_grad_enabled(torch.is_grad_enabled() and loop >= loops - window):
                x = self._once(x, loop, first, where, _ALL)
            if loop >= loops - window:
                said.append(self._said(x[:, where.readout]))
        return torch.stack(said)

    def _once(self, x: Tensor, loop: int, first: Tensor, where: Layout, rows: slice) -> Tensor:
        """One loop; ``first`` may be added again. Blocks are counted as they are applied."""
        if loop and self.architecture.inject:
            x = x + first
        blocks = [self.blocks[0]] * self.architecture.layers if self.architecture.tied else list(self.blocks)
        passed = loop * len(blocks)
        for i, block in enumerate(blocks[:-1]):
            x = through(block, passed + i, x, where, _ALL)
        return through(blocks[-1], passed + len(blocks) - 1, x, where, rows)

    def _said(self, x: Float[Tensor, "B P w"]) -> Tensor:
        """What is predicted at the tokens that are read out."""
        x = tap("norm", self.norm(x), ANSWERS)
        outputs = self.architecture.outputs
        x = x[..., -outputs:] if self.read_out is None else self.read_out(x)  # (B, P, outputs or 2·outputs)
        x = tap("head", x, ANSWERS)
        if self.architecture.head == "mean_variance":
            x = x.unflatten(-1, (outputs, 2))
        return x.squeeze(2) if outputs == 1 else x

    @property
    def reads_inputs(self) -> bool:
        """Whether prompts have inputs, or are sequences of labels."""
        return self.architecture.dimension > 0

    @property
    def products(self) -> int:
        """Multiply-adds of the blocks' weight matrices for a token."""
        weights = sum(parameter.numel() for parameter in self.blocks.parameters() if parameter.ndim == 2)
        return weights * (self.architecture.layers if self.architecture.tied else self.loops)

    @property
    def n_parameters(self) -> int:
        """Number of trainable numbers."""
        return sum(parameter.numel() for parameter in self.parameters())


@torch.no_grad()
def _initialise(model: Transformer, seed: int) -> None:
    # NumPy's generator: the same weights on every device and in every release of torch.
    rng = Draws(seed, "training").shared("model")
    scale = 0.02 / math.sqrt(2 * model.architecture.layers)
    for name, parameter in model.named_parameters():
        shape = tuple(parameter.shape)
        if name.endswith(("w_pv", "w_kq")):  # drawn below
            continue
        if name.startswith(("read_in", "read_out")):
            inputs = model.architecture.token_size if name.startswith("read_in") else model.architecture.width
            bound = 1 / math.sqrt(inputs)
            values = rng.uniform(-bound, bound, shape)
        elif "norm" in name:
            continue
        elif name.endswith("bias"):
            values = np.zeros(shape)
        else:
            values = rng.normal(0, scale if name.endswith(("attention.out.weight", "mlp.2.weight")) else 0.02, shape)
        parameter.copy_(torch.from_numpy(values))
    for module in model.modules():
        own: Any = getattr(module, "initialise", None)
        if own is not None:
            own(rng)
