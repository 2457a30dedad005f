"""Suites: the distributions on which the field judges an in-context learner, run as one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from iclab.evaluation.compare import compare
from iclab.evaluation.scores import score_for
from iclab.foundations import InvalidInputError, check_choice, check_integer
from iclab.predictors import REGISTRY, Predictor
from iclab.prompts import GARG, SHIFTS, Gaussian, Linear, PromptDistribution, normaliser, shift
from iclab.prompts.labels import labels_of

if TYPE_CHECKING:
    import pandas as pd

# §4.2 and Figure 1 of the paper: labels, queries, inputs and covariances that training has not shown.
PAPER: tuple[str, ...] = (
    "standard",
    "noise=0.5",
    "noise=1",
    "task-quadratic",
    "scale-query=2",
    "orthogonal_train_test",
    "independent-query",
    "scale-x=2",
    "random-covariance",
    "random-covariance+covariance=4",
    "random-covariance+covariance=9",
)
SUITES: Mapping[str, tuple[str, ...]] = {
    "garg": GARG,
    "paper": PAPER,
    "all": tuple(dict.fromkeys((*GARG, *PAPER, *SHIFTS))),
}
"""Names of shifts by suite."""


@dataclass(frozen=True, eq=False)
class Suite:
    """A base distribution and the shifts of it to evaluate on.

    Attributes
    ----------
    name : str
        Of the suite.
    base : PromptDistribution, MarkovChains, …
        Before any shift.
    shifts : tuple of str
        Names for ``shift``; one that is repeated is run once.
    """

    name: str
    base: Any
    shifts: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "shifts", tuple(dict.fromkeys(self.shifts)))

    @classmethod
    def named(cls, name: str, dimension: int) -> Suite:
        """The suite of that name on w ~ N(0, I), x ~ N(0, I), shape d = ``dimension``.

        Raises
        ------
        InvalidInputError
            If there is no such suite.
        """
        members = SUITES[check_choice(name, "suite", SUITES)]
        # Shifts that a small dimension cannot have are left out.
        kept = tuple(
            each
            for each in members
            if not (dimension < 2 and "half_subspace" in each) and not (dimension < 3 and each == "task-sparse=3")
        )
        return cls(name, PromptDistribution(Gaussian.isotropic(dimension), Linear()), kept)

    def run(
        self,
        predictors: Mapping[str, Predictor],
        n_points: int,
        *,
        n_prompts: int,
        seed: int,
        score: str | None = None,
        n_jobs: int | None = None,
        progress: Callable[[str, int, int], None] | None = None,
    ) -> pd.DataFrame:
        """Error curves of every predictor under every shift, on the same prompts.

        Parameters
        ----------
        predictors, n_points, n_prompts, seed, score, n_jobs, progress
            As in ``compare``. Shifts that need positions below d stop there.

        Returns
        -------
        pandas.DataFrame
            As ``compare``'s (the distribution is the shift's name), with the columns score (its name), normaliser (raw
            errors are divided by it when drawn; 1 where none is known, and for classes) and zero (exact score of the
            zero estimator, or of the uniform law of classes; NaN where unknown).

        Raises
        ------
        InvalidInputError
            If the suite is empty, or as in ``compare``.
        """
        import pandas as pd

        n_points = check_integer(n_points, "n_points", minimum=1)
        if not self.shifts:
            raise InvalidInputError("a suite must hold at least one shift to run; it is empty.")
        labels = labels_of(self.base)
        rule = score_for(labels, score)
        scale = 1.0 if labels.kind == "class" else normaliser(self.base) or 1.0
        tables: list[pd.DataFrame] = []
        # A shift that these prompts cannot have is refused before any work is done.
        shifted = {name: shift(name).apply(self.base) for name in self.shifts}
        for name in self.shifts:
            member = shift(name)
            limit = member.max_points(self.base.dimension)
            table = compare(
                predictors,
                {name: shifted[name]},
                n_points if limit is None else min(n_points, limit),
                n_prompts=n_prompts,
                seed=seed,
                score=rule.name,
                n_jobs=n_jobs,
                progress=progress,
            )
            if labels.kind == "class":
                zero = None if rule.blind is None else rule.blind(labels.size)
            else:
                zero = member.zero_error(self.base)
            table["score"] = rule.name
            table["normaliser"] = scale
            table["zero"] = np.nan if zero is None else zero
            tables.append(table)
        return pd.concat(tables, ignore_index=True)

    def estimated_seconds(self, names: list[str], n_points: int, n_prompts: int) -> float:
        """Rough cost on one core of the named predictors that are fitted anew at every prefix."""
        fits = len(self.shifts) * n_points * n_prompts
        return sum(REGISTRY[name].milliseconds for name in names if name in REGISTRY) * fits / 1000
