"""A batch of prompts: labelled examples, and a query at every position."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64, Int64

from iclab.foundations import InvalidInputError, PromptInputs, PromptLabels, check_array, check_integer, check_reals
from iclab.prompts.labels import Labels, check_classes


@dataclass(frozen=True, eq=False)
class Prompts:
    """A batch of B prompts of P positions in d dimensions.

    Position i is the prediction made for ``queries[:, i]`` from the i examples ``xs[:, :i]``, ``ys[:, :i]``,
    so N examples need P = N + 1 positions.

    A label is a real number, a vector of k numbers, or with ``n_classes`` a class. A sequence of tokens is a prompt
    without inputs, d = 0, whose labels are classes: position i predicts token i from those before it. An input that is
    a category is an indicator vector of it, on which a linear map is an embedding.

    Attributes
    ----------
    xs : ndarray, shape (B, P, d)
        Inputs of the examples.
    ys : ndarray, shape (B, P), or (B, P, k) for vectors
        Their labels, with noise if the distribution has any. Training fits these.
    queries : ndarray, shape (B, P, d)
        Query of each position; the array ``xs`` itself when queries are not shifted.
    targets : ndarray, of the shape of ``ys``
        Noise-free h(queries), NaN where unknown (−1 for classes). Evaluation scores against these, or for classes
        against ``probabilities`` where they are known.
    n_classes : int, optional
        Number k of classes; labels are then whole numbers from 0 to k − 1.
    probabilities : ndarray, shape (B, P, k), optional
        True law of the class at each query, given all that the prompt was drawn with.

    Raises
    ------
    InvalidInputError
        If shapes differ, P is 0, d is 0 with real labels, an input, label or query is not a finite real number, or a
        class is none of the k. Lists and other kinds of numbers become float64 arrays, classes int64.
    """

    xs: PromptInputs
    ys: PromptLabels | Int64[np.ndarray, "B P"]
    queries: PromptInputs
    targets: PromptLabels | Int64[np.ndarray, "B P"]
    n_classes: int | None = None
    probabilities: Float64[np.ndarray, "B P k"] | None = None

    def __post_init__(self) -> None:
        shifted = self.shifted_queries
        if self.n_classes is not None:
            self._check_classes(self.n_classes)
        for name in ("xs", "ys", "queries", "targets"):
            if self.n_classes is not None and name in ("ys", "targets"):
                continue
            array = self.xs if name == "queries" and not shifted else check_reals(getattr(self, name), name)
            # A sum is finite if all terms are, unless it overflows: one cheap pass for what is almost always so.
            with np.errstate(over="ignore", invalid="ignore"):
                total = array.sum()
            if name != "targets" and not np.isfinite(total) and not np.isfinite(array).all():
                raise InvalidInputError(f"{name} must be finite; NaN or infinity was given.")
            object.__setattr__(self, name, array)
        self._check_shapes()

    def _check_classes(self, count: int) -> None:
        count = check_integer(count, "n_classes", minimum=2)
        object.__setattr__(self, "n_classes", count)
        object.__setattr__(self, "ys", check_classes(self.ys, "ys", count))
        object.__setattr__(self, "targets", check_classes(self.targets, "targets", count, unknown=True))
        if self.probabilities is not None:
            law = check_array(self.probabilities, "probabilities", (*self.ys.shape, count))
            object.__setattr__(self, "probabilities", law)

    def _check_shapes(self) -> None:
        shape, labels = self.xs.shape, self.ys.shape
        vectors = self.n_classes is None and self.ys.ndim == 3
        fits = self.xs.ndim == 3 and self.queries.shape == shape and self.targets.shape == labels
        if not fits or (labels[:2] if vectors else labels) != shape[:2]:
            raise InvalidInputError(
                "prompts must have xs and queries of shape (B, P, d), ys and targets of shape (B, P); "
                f"{self.xs.shape}, {self.queries.shape}, {self.ys.shape} and {self.targets.shape} were given."
            )
        if shape[1] == 0 or (shape[2] == 0 and self.labels.kind == "real") or 0 in labels[2:]:
            raise InvalidInputError(f"prompts must have at least one position and one dimension; xs has shape {shape}.")
        if self.probabilities is not None and self.n_classes is None:
            raise InvalidInputError("probabilities must come with n_classes; labels are numbers.")

    def __len__(self) -> int:
        return self.xs.shape[0]

    @property
    def n_points(self) -> int:
        """Number of positions P."""
        return self.xs.shape[1]

    @property
    def dimension(self) -> int:
        """Length d of an input."""
        return self.xs.shape[2]

    @property
    def labels(self) -> Labels:
        """What the labels are."""
        if self.n_classes is not None:
            return Labels("class", self.n_classes)
        return Labels("vector", self.ys.shape[2]) if self.ys.ndim == 3 else Labels()

    def output(self, k: int) -> Prompts:
        """The same prompts labelled by number ``k`` of their vectors."""
        return replace(self, ys=self.ys[..., k], targets=self.targets[..., k])

    def on_previous_labels(self) -> Prompts:
        """A sequence of vectors as a regression of every label on the one before it.

        Position i has the query y_{i−1} and knows the pairs (y_{j−1}, y_j), j < i; the first label has the input 0,
        which tells a linear learner nothing.
        """
        if self.labels.kind != "vector" or self.dimension > 0:
            raise InvalidInputError(
                f"prompts must be sequences of vectors without inputs; these have dimension {self.dimension} and "
                f"{self.labels.kind} labels."
            )
        xs = np.zeros(self.ys.shape)
        xs[:, 1:] = self.ys[:, :-1]
        return replace(self, xs=xs, queries=xs)

    @property
    def shifted_queries(self) -> bool:
        """Whether any query differs from the example at its position."""
        return self.queries is not self.xs
