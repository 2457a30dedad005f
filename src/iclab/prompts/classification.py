"""Functions of two classes: the sign or the logistic law of a number, with label flips."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import expit

from iclab.foundations import Draws, InvalidInputError, Matrix, PromptInputs, check_choice, check_real
from iclab.prompts.boolean_functions import check_share
from iclab.prompts.labels import Labels, Law, labels_of
from iclab.prompts.tasks import Functions, Tasks, check_tasks


@dataclass(frozen=True)
class Binary:
    """Class 1 where another law's h(x) ≥ 0, or with probability 1/(1 + exp(−slope · h(x))); then flipped at random.

    ``Binary(Linear())`` is linear classification, ``Binary(Linear(), "logistic")`` logistic, ``Binary(Parity())`` a
    Boolean function as classes.

    Parameters
    ----------
    tasks : Tasks
        Law of h, with real labels.
    link : {"sign", "logistic"}
        From h to the class.
    flips : float
        Probability that a label is the other class, from 0 to ½.
    slope : float
        Of the logistic law.

    Raises
    ------
    InvalidInputError
        If a number is out of range, there is no such link, or the labels of the tasks are no real numbers.
    """

    tasks: Tasks
    link: Literal["sign", "logistic"] = "sign"
    flips: float = 0.0
    slope: float = 1.0

    def __post_init__(self) -> None:
        check_tasks(self.tasks)
        check_choice(self.link, "link", ("sign", "logistic"))
        object.__setattr__(self, "flips", check_share(self.flips, "flips"))
        object.__setattr__(self, "slope", check_real(self.slope, "slope"))
        if self.flips > 0.5:
            raise InvalidInputError(f"flips must be at most 0.5, or the classes trade names; {self.flips} was given.")
        if labels_of(self.tasks).kind != "real":
            raise InvalidInputError(f"tasks must have real labels to be made classes; {self.tasks!r} has others.")

    @property
    def labels(self) -> Labels:
        """Two classes."""
        return Labels("class", 2)

    def law(self, values: np.ndarray) -> Law:
        """The law of the class at h(x) = ``values``, with a last axis of 2."""
        one = np.where(values >= 0, 1.0, 0.0) if self.link == "sign" else expit(self.slope * values)
        one = self.flips + (1 - 2 * self.flips) * one
        return np.stack([1 - one, one], axis=-1)

    def mean_square(self, covariance: Matrix) -> float:
        """1: the share of classes that are one of the two; Λ has shape (d, d)."""
        return 1.0

    def draw(self, draws: Draws, dimension: int) -> Functions:
        """The laws of the classes of the addressed prompts: inputs (B, P, d) to (B, P, 2)."""
        function = self.tasks.draw(draws, dimension)

        def laws(xs: PromptInputs) -> Law:
            return self.law(function(xs))

        return laws
