"""Items of Gaussian classes whose labels stay, shown in bursts before a query: in weights or in context."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Float64

from iclab.foundations import Draws, InvalidInputError, Matrix, check_choice, check_integer, check_real
from iclab.prompts.boolean_functions import check_share
from iclab.prompts.labels import Classes, Labels
from iclab.prompts.prompt import Prompts

Shown = Literal["as trained", "absent", "new", "swapped"]
SHOWN: tuple[Shown, ...] = ("as trained", "absent", "new", "swapped")


@dataclass(frozen=True)
class BurstyClasses:
    """N pairs of an item and its class's label, then an item to be labelled (Reddy 2024, after Chan et al. 2022).

    An item of class k is (μ_k + spread·η)/√(1 + spread²), with μ_k and η from N(0, I/d); class k has label k mod L. The
    context shows N/burst classes, each ``burst`` times in random order. A model can answer by what it knows of the
    class (*in weights*), or by what the context shows of it (*in context*); other prompts tell which it does.

    ``ys`` and ``probabilities`` are labels as the context has them, ``targets`` those that the class was trained with,
    so that on "swapped" prompts the accuracy at the last position is that in context, the target accuracy that in
    weights.

    Parameters
    ----------
    dimension, n_classes, n_labels : int
        d, K and L ≤ K.
    n_pairs, burst : int
        N, a multiple of the burst.
    spread : float
        Of items about their class's mean, relative to that of the means.
    copies : float
        Share of prompts whose query is of a class that the context shows; of the others it is of none that it shows.
    shown : {"as trained", "absent", "new", "swapped"}
        As trained; with a query of a class that is not shown; with classes drawn for this prompt, labels at random; or
        with every shown class under a label that is not its own.
    seed : int
        Of the classes.

    Raises
    ------
    InvalidInputError
        If a number is out of range, or the classes are too few.
    """

    dimension: int
    n_classes: int
    n_labels: int
    n_pairs: int = 8
    burst: int = 1
    spread: float = 0.1
    copies: float = 1.0
    shown: Shown = "as trained"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("dimension", 1), ("n_labels", 2), ("n_pairs", 1), ("burst", 1), ("seed", 0)):
            object.__setattr__(self, name, check_integer(getattr(self, name), name, minimum=least))
        if self.n_pairs % self.burst:
            raise InvalidInputError(
                f"n_pairs must be a multiple of the burst {self.burst}; {self.n_pairs} was given: choose 8 and 1, 2, 4."
            )
        least = max(self.n_labels, self.n_pairs // self.burst + 1)
        object.__setattr__(self, "n_classes", check_integer(self.n_classes, "n_classes", minimum=least))
        object.__setattr__(self, "spread", check_real(self.spread, "spread", minimum=0.0))
        object.__setattr__(self, "copies", check_share(self.copies, "copies"))
        check_choice(self.shown, "shown", SHOWN)

    @property
    def labels(self) -> Labels:
        """Classes: the L labels."""
        return Labels("class", self.n_labels)

    @cached_property
    def means(self) -> Matrix:
        """μ_k of every class, shape (K, d); those of more classes of a seed extend those of fewer."""
        drawn = Draws(self.seed, count=self.n_classes).at(channel=1 << 21).normals("model", self.dimension)
        return drawn / np.sqrt(self.dimension)

    def sample(
        self,
        n_prompts: int,
        n_points: int,
        *,
        seed: int,
        step: int = 0,
        start: int = 0,
        stream: str = "evaluation",
    ) -> Prompts:
        """Draw prompts ``start`` … ``start + n_prompts − 1``; the query stands at position N, at most N + 1 points.

        Raises
        ------
        InvalidInputError
            If a number is out of range.
        """
        n_points = check_integer(n_points, "n_points", minimum=1)
        if n_points > self.n_pairs + 1:
            raise InvalidInputError(
                f"n_points must be at most {self.n_pairs + 1}, the pairs and the query; {n_points} was given."
            )
        draws = Draws(seed, stream, step, start, check_integer(n_prompts, "n_prompts", minimum=1))
        with draws.once() as once:
            slots, of_query = self._slots(once)
            own, shown, centres = self._classes(once)
            normals = once.normals("x", self.n_pairs + 1, self.dimension) / np.sqrt(self.dimension)
        chosen = np.concatenate([slots, of_query[:, None]], axis=1)
        rows = np.arange(draws.count)[:, None]
        ys = shown[rows, chosen][:, :n_points]
        xs = (centres[rows, chosen] + self.spread * normals) / np.sqrt(1 + self.spread**2)
        xs = np.ascontiguousarray(xs[:, :n_points])
        return Prompts(xs, ys, xs, own[rows, chosen][:, :n_points], self.n_labels, np.eye(self.n_labels)[ys])

    def _slots(self, draws: Draws) -> tuple[Classes, Classes]:
        """Which of the prompt's classes stands where, shape (B, N), and that of the query; the last is never shown."""
        count = self.n_pairs // self.burst
        order = np.argsort(draws.at(channel=1).uniforms("task", self.n_pairs), axis=1)
        asked = draws.uniforms("query", 2)
        copied = (asked[:, 0] < self.copies) & (self.shown != "absent") if self.shown in SHOWN[:2] else True
        return order % count, np.where(copied, (asked[:, 1] * count).astype(np.int64), count)

    def _classes(self, draws: Draws) -> tuple[Classes, Classes, Float64[np.ndarray, "B m d"]]:
        """Own and shown labels of each prompt's N/burst + 1 classes, shape (B, m), and their means, (B, m, d)."""
        count = self.n_pairs // self.burst + 1
        offsets = draws.at(channel=2).uniforms("task", count)
        if self.shown == "new":
            fresh = (offsets * self.n_labels).astype(np.int64)
            centres = draws.at(channel=1).normals("x", count, self.dimension) / np.sqrt(self.dimension)
            return fresh, fresh, centres
        keys = draws.uniforms("task", self.n_classes)
        classes = np.argpartition(keys, count - 1, axis=1)[:, :count]
        # In the order of their keys: the partition leaves them in any.
        classes = np.take_along_axis(classes, np.argsort(np.take_along_axis(keys, classes, axis=1), axis=1), axis=1)
        own = classes % self.n_labels
        moved = 1 + (offsets * (self.n_labels - 1)).astype(np.int64)
        return own, (own + moved) % self.n_labels if self.shown == "swapped" else own, self.means[classes]
