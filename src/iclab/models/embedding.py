"""From a prompt to tokens, and which token sees which.

Every embedding turns P positions into one sequence in which position i's prediction is read at a token
that sees exactly i examples and its own query. Where the query of position i is also its example, it stands
in the sequence itself. Where it is not (shifted queries; stacked columns, whose example carries the
label), queries are *branches*: tokens behind the sequence, each seeing its own context and itself, and
seen by nobody. One forward pass therefore answers every position.

A label that is a vector, or a class as an indicator vector of it, has coordinates of its own behind those of x, on
which the read-in is an embedding. Without inputs (d = 0) the sequence is that of the labels: an empty token, then
labels 0, 1, …, each of which predicts the next one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Layout:
    """Who stands where in a sequence of T tokens and sees whom.

    Attributes
    ----------
    positions : Tensor, shape (T,)
        Position index of each token; a branch has the index of the token it stands for.
    visible : Tensor of bool, shape (T, T)
        Whether token t (row) sees token j (column).
    examples : Tensor, shape (T,)
        Number ρ of labelled examples a token sees, at least 1 so that it can divide.
    readout : slice
        The tokens at which the P predictions are read.
    branches : int
        Number of tokens, the last ones, that only they themselves see.
    stride : int
        Tokens of an example: branch i has seen ``stride``·i tokens.
    questions : bool
        Whether branches carry no label that could be learned from, as stacked columns (x_q, 0): a mixer with a state
        reads it for them and writes nothing. Otherwise they stand for tokens of the sequence, which write first.
    gathered : bool
        Whether every branch has seen the whole context.
    """

    positions: Int[Tensor, " T"]
    visible: Bool[Tensor, "T T"]
    examples: Int[Tensor, " T"]
    readout: slice
    branches: int = 0
    stride: int = 2
    questions: bool = False
    gathered: bool = False

    @property
    def context(self) -> int:
        """Number of tokens that are no branches."""
        return len(self.positions) - self.branches

    @property
    def places(self) -> slice:
        """How many tokens the branches have seen; one number stands for all that are gathered."""
        if self.gathered:
            return slice(self.context, self.context + 1)
        return slice(0, self.stride * (self.branches - 1) + 1, self.stride)


@lru_cache(maxsize=256)
def layout(embedding: str, n_points: int, branches: bool, device: torch.device) -> Layout:
    """The layout of a prompt of ``n_points`` positions; stacked columns always use branches."""
    if embedding == "sequence":
        positions = torch.arange(n_points, device=device)
        visible = positions[:, None] >= positions[None, :]
        return Layout(positions, visible, positions.clamp(min=1), slice(None), stride=1)
    if embedding == "interleaved" and not branches:
        # The label of the last example is never seen by a prediction: 2P − 1 tokens.
        positions = torch.arange(2 * n_points - 1, device=device)
        visible = positions[:, None] >= positions[None, :]
        return Layout(positions, visible, ((positions + 1) // 2).clamp(min=1), slice(0, None, 2))
    stride = 2 if embedding == "interleaved" else 1
    context = torch.arange(stride * (n_points - 1), device=device)
    queries = stride * torch.arange(n_points, device=device)
    size = len(context) + n_points
    visible = torch.eye(size, dtype=torch.bool, device=device)
    visible[: len(context), : len(context)] = context[:, None] >= context[None, :]
    visible[len(context) :, : len(context)] = queries[:, None] > context[None, :]
    examples = torch.cat([(context + 1) // stride, queries // stride])
    readout = slice(len(context), None)
    questions = embedding == "stacked"
    return Layout(torch.cat([context, queries]), visible, examples.clamp(min=1), readout, n_points, stride, questions)


@lru_cache(maxsize=64)
def gathered(embedding: str, n_examples: int, n_queries: int, device: torch.device) -> Layout:
    """The layout of one context with many queries, every one a branch that sees all of it."""
    alone = layout(embedding, n_examples + 1, branches=True, device=device)
    context = alone.context
    one = torch.tensor([*range(context), len(alone.positions) - 1], device=device)  # the context and the last branch
    rows = torch.cat([one[:-1], one[-1:].expand(n_queries)])
    visible = torch.eye(context + n_queries, dtype=torch.bool, device=device)
    visible[:, :context] = alone.visible[rows][:, :context]
    return Layout(
        alone.positions[rows],
        visible,
        alone.examples[rows],
        slice(context, None),
        n_queries,
        alone.stride,
        alone.questions,
        gathered=True,
    )


def tokens(
    embedding: str,
    xs: Float[Tensor, "B P d"],
    ys: Float[Tensor, "B P"] | Float[Tensor, "B P k"],
    queries: Float[Tensor, "B P d"] | None,
) -> Float[Tensor, "B T s"]:
    """The tokens of a batch of prompts, in the order of ``layout(embedding, P, branches=queries is not None)``.

    Interleaved tokens have size d, or d + k where labels are vectors; stacked ones d + 1 or d + k; those of a sequence
    without inputs k. Stacked columns take ``xs`` as queries if none are given.
    """
    batch, n_points, dimension = xs.shape
    labels = ys if ys.ndim == 3 else ys[..., None]
    size = labels.shape[2]
    if embedding == "sequence":
        return torch.nn.functional.pad(labels[:, :-1], (0, 0, 1, 0))
    if embedding == "stacked":
        columns = torch.cat([xs, labels], -1)[:, :-1]  # (B, P−1, d+k)
        asked = torch.nn.functional.pad(xs if queries is None else queries, (0, size))  # (B, P, d+k), label 0
        return torch.cat([columns, asked], 1)
    own = 0 if ys.ndim == 2 else size  # a number shares the first coordinate of x, as in Garg et al. (2022)
    pairs = xs.new_zeros(batch, n_points, 2, dimension + own)
    pairs[:, :, 0, :dimension] = xs
    if own:
        pairs[:, :, 1, dimension:] = labels
    else:
        pairs[:, :, 1, 0] = ys
    sequence = pairs.view(batch, 2 * n_points, dimension + own)
    if queries is None:
        return sequence[:, :-1]
    return torch.cat([sequence[:, :-2], torch.nn.functional.pad(queries, (0, own))], 1)
