"""Panels of the explorer: code with numbers to fill in, and the lines of a picture of what it computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from iclab.foundations import InvalidInputError
from iclab.studies.drawing import ACCENT, LEAST_SQUARES, LSA, SECOND, ZERO


def execute(code: str, names: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Names that lines of code define, given those that lines before them have defined."""
    results = dict(names or {})
    exec(compile(code, "<explorer>", "exec"), results)
    return {name: value for name, value in results.items() if not name.startswith("_")}


@dataclass(frozen=True)
class Slider:
    """A number that the reader sets: its name in the code, what it is, and the steps that it takes."""

    name: str
    label: str
    steps: Sequence[float]
    start: float


@dataclass(frozen=True)
class Line:
    """A line of a picture: the result that it shows, its name in the legend, its colour, whether it is dashed."""

    result: str
    label: str
    colour: str
    dashed: bool = False


@dataclass(frozen=True)
class Panel:
    """Code with numbers to fill in, and the lines of a picture of what it computes.

    Attributes
    ----------
    name, title, note : str
        How tests and links call it, its heading, and what to look for.
    sliders : tuple of Slider
        What may be changed.
    code : str
        Python with the sliders' names in braces. Names that do not begin with an underscore are its results.
    across : tuple of str
        The result that is the horizontal axis, and its label.
    upwards : str
        Label of the vertical axis. Both axes are logarithmic.
    lines : tuple of Line
        What is drawn: a result with a number for each point of the axis, or one number for all.
    shown : tuple of str
        Results that are printed as numbers below the picture.
    """

    name: str
    title: str
    note: str
    sliders: tuple[Slider, ...]
    code: str
    across: tuple[str, str]
    upwards: str
    lines: tuple[Line, ...]
    shown: tuple[str, ...] = ()

    def fill(self, settings: Mapping[str, float]) -> str:
        """Code for these numbers.

        Raises
        ------
        InvalidInputError
            If a slider has no number, or one that it cannot take.
        """
        for slider in self.sliders:
            value = settings.get(slider.name)
            if value not in slider.steps:
                steps = ", ".join(f"{step:g}" for step in slider.steps)
                raise InvalidInputError(f"{slider.name} of {self.name} must be one of {steps}; got {value!r}.")
        return self.code.format(**{slider.name: f"{settings[slider.name]:g}" for slider in self.sliders})

    def compute(self, settings: Mapping[str, float]) -> dict[str, Any]:
        """Run the code for these numbers, and return its results by name."""
        return execute(self.fill(settings))

    @property
    def settings(self) -> dict[str, float]:
        """The numbers that the panel begins with."""
        return {slider.name: slider.start for slider in self.sliders}


_DIMENSION = Slider("dimension", "d", (2, 3, 5, 10, 20, 30, 50), 5)
_DECAY = Slider("decay", "decay of the spectrum: λᵢ = i^−decay", (0, 0.25, 0.5, 1, 1.5, 2), 1)
_N_TRAIN = Slider("n_train", "N, examples in training", (2, 5, 10, 20, 40, 70, 100, 200, 500), 20)
_NOISE = (0, 0.1, 0.25, 0.5, 1, 2)

_COVARIATES = """\
import numpy as np
from iclab.prompts import Gaussian
eigenvalues = np.arange(1, {dimension} + 1) ** -float({decay})
covariates = Gaussian(np.diag(eigenvalues))
"""

PANELS = (
    Panel(
        "risk",
        "Error by context length",
        "The layer of Theorem 4 stops improving at a floor set by N. Least squares has no such floor.",
        (_DIMENSION, _DECAY, _N_TRAIN, Slider("noise", "standard deviation of noise at test", _NOISE, 0.5)),
        _COVARIATES
        + """\
from iclab.evaluation import least_squares_risk
from iclab.theory import corollary6_bound, expected_risk
lengths = np.unique(np.geomspace(1, 1000, 31).astype(int))
layer = [expected_risk(covariates, n_train={n_train}, n_test=m, noise_variance={noise} ** 2) for m in lengths]
least_squares = [least_squares_risk(covariates.covariance, covariates.covariance, m, {noise} ** 2) for m in lengths]
bound = [corollary6_bound(covariates.covariance, {n_train}, m) for m in lengths]
floor = expected_risk(covariates, n_train={n_train}, n_test=np.inf)
""",
        ("lengths", "examples M"),
        "squared error",
        (
            Line("layer", "trained layer", LSA),
            Line("bound", "Corollary 6, noiseless", LSA, dashed=True),
            Line("least_squares", "least squares", LEAST_SQUARES),
            Line("floor", "floor, M → ∞", ZERO, dashed=True),
        ),
        ("floor",),
    ),
    Panel(
        "learner",
        "The learner that training ends in",
        "Without noise the minimiser is Γ⁻¹. Λ⁻¹ would be right for an endless context; the two differ most where λ is "
        "small.",
        (
            _DIMENSION,
            _DECAY,
            _N_TRAIN,
            Slider("noise", "standard deviation of noise in training", _NOISE, 0),
        ),
        _COVARIATES
        + """\
from iclab.theory import gamma, optimal_learner
learner = np.diag(optimal_learner(covariates, n_train={n_train}, noise_variance={noise} ** 2))
gamma_inverse = 1 / np.diag(gamma(covariates.covariance, {n_train}))
covariance_inverse = 1 / eigenvalues
difference = np.max(np.abs(learner / gamma_inverse - 1))
""",
        ("eigenvalues", "eigenvalue of Λ"),
        "weight of its direction",
        (
            Line("learner", "minimiser", LSA),
            Line("gamma_inverse", "Γ⁻¹", ACCENT, dashed=True),
            Line("covariance_inverse", "Λ⁻¹", ZERO, dashed=True),
        ),
        ("difference",),
    ),
    Panel(
        "flow",
        "Gradient flow and its certificate",
        "Below the threshold of Theorem 4 the loss must fall at least as fast as the bound. Above it nothing is "
        "promised, and the flow may still arrive.",
        (
            Slider("dimension", "d", (2, 3, 5, 10, 20, 30, 50), 5),
            _DECAY,
            _N_TRAIN,
            Slider("scale", "σ, scale of the start", (0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 0.8), 0.1),
        ),
        _COVARIATES
        + """\
from iclab.flow import gradient_flow
from iclab.theory import assumption3, certificate
theta = np.eye({dimension}) / np.sqrt({dimension})
promise = certificate(covariates, {n_train}, theta, {scale})
trajectory = gradient_flow(assumption3(theta, {scale}), covariates, {n_train}, np.inf)
times = np.geomspace(0.1, 40 / promise.asymptotic_rate, 80)
excess = trajectory.excess(times)
bound = np.exp(-promise.pl_constant * times) * trajectory.excess(0) if promise.guaranteed else np.nan
threshold, guaranteed, limit = promise.threshold, int(promise.guaranteed), promise.limit
""",
        ("times", "time"),
        "loss above its minimum",
        (Line("excess", "gradient flow", ACCENT), Line("bound", "bound of Theorem 4", SECOND, dashed=True)),
        ("threshold", "guaranteed", "limit"),
    ),
    Panel(
        "shift",
        "Inputs of another size",
        "Λ becomes c Λ at test, and the layer keeps its Γ⁻¹. Its error divided by that of predicting zero leaves every "
        "bound; least squares does not notice.",
        (
            _DIMENSION,
            _DECAY,
            _N_TRAIN,
            Slider("n_test", "M, examples at test", (5, 10, 20, 40, 100, 1000), 40),
        ),
        _COVARIATES
        + """\
from iclab.evaluation import least_squares_risk
from iclab.theory import optimal_learner, shift_risk
learner = optimal_learner(covariates, n_train={n_train})
factors = np.geomspace(0.1, 10, 41)
scaled = [c * covariates.covariance for c in factors]
layer = [shift_risk(learner, s, s, {n_test}, np.eye({dimension})) / np.trace(s) for s in scaled]
least_squares = [least_squares_risk(s, s, {n_test}) / np.trace(s) for s in scaled]
zero, best_factor = 1, factors[np.argmin(layer)]
""",
        ("factors", "factor c on Λ at test"),
        "error / error of predicting 0",
        (
            Line("layer", "trained layer", LSA),
            Line("least_squares", "least squares", LEAST_SQUARES),
            Line("zero", "predicting 0", ZERO, dashed=True),
        ),
        ("best_factor",),
    ),
)
"""The panels of the explorer, in their order."""
