"""Gradient flow from Assumption 3: u, U and the loss over time, and what the paper proves of them.

Two problems: a fixed anisotropic Λ (eigenvalues of a power law in a random eigenbasis) and random Exponential(1)
covariances. The flow is computed in its one-scalar form, without sampling.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from iclab.flow import Trajectory, gradient_flow
from iclab.foundations import Draws, Matrix, Vector
from iclab.prompts import Gaussian, RandomDiagonal
from iclab.studies.lab import Lab
from iclab.studies.store import Unit, several
from iclab.theory import (
    Certificate,
    LSAParameters,
    PopulationLoss,
    assumption3,
    certificate,
    flow_coefficients,
    minimizer,
    random_theta,
)

TITLE = "Gradient flow from Assumption 3 (Theorems 4 and 8)"
FIXED, RANDOM = "fixed covariance", "random covariances"
# Between these parts of the initial excess the late rate is measured.
_LATE = (1e-16, 1e-20)
# What is left of the initial excess at the last point of time.
_LEFT = 1e-12


@dataclass(frozen=True)
class Settings:
    """Sizes of the study.

    Attributes
    ----------
    dimension, n_train : int
        d and N.
    exponent : float
        Λ has the eigenvalues i^{−exponent}, i = 1, …, d, scaled to trace d, in a random eigenbasis.
    relative_scale : float
        σ as a part of the paper's threshold, in (0, 1).
    n_times : int
        Points of time, from 0 to where 1e-12 of the initial excess is left; spaced as powers.
    seed : int
        Of the eigenbasis and of ΘΘ'.
    """

    dimension: Annotated[int, Field(ge=2)] = 5
    n_train: Annotated[int, Field(ge=1)] = 20
    exponent: Annotated[float, Field(ge=0)] = 1.0
    relative_scale: Annotated[float, Field(gt=0)] = 0.1
    n_times: Annotated[int, Field(ge=10)] = 240
    seed: Annotated[int, Field(ge=0)] = 0


def measure(settings: Settings, lab: Lab) -> dict[str, pd.DataFrame]:
    """Follow the flow on both problems.

    Returns
    -------
    dict of DataFrame
        ``trajectory`` (long): case, t, quantity, row, col, value, with quantities ``u``, ``loss``, ``excess``,
        ``pl_bound`` (e^{−μt}(L(0) − min L)), ``asymptote`` (exact rate, through the last point), ``pl_ratio``
        (‖∇L‖²/(μ(L − min L)), at least 1 by (30)/(62)), ``balance`` (u² − ‖U‖_F²), and ``U``, ``uU`` by row and
        col in the basis where the covariances are diagonal (largest eigenvalue first for the fixed one); row and
        col are −1 for scalars. ``limits``: case, quantity, row, col, reached, theorem. ``certificates``: one row per
        case, the constants of the proof, σ, rates, and the times by which 50, 90 and 99 % of the gain are made.
    """
    units = [Unit(follow, {"case": case, **asdict(settings)}, case) for case in (FIXED, RANDOM)]
    tables = lab.named_tables(units, "gradient flow")
    for name in ("trajectory", "limits"):
        tables[name] = tables[name].astype({"row": "int64", "col": "int64"})
    return tables


def problem(case: str, d: int, exponent: float, seed: int) -> tuple[Gaussian | RandomDiagonal, Matrix]:
    """The covariates of a case and ΘΘ'."""
    theta = random_theta(d, seed)
    if case == RANDOM:
        return RandomDiagonal.exponential(d), theta
    spectrum = np.arange(1.0, d + 1) ** -exponent
    spectrum *= d / spectrum.sum()
    gaussian = Draws(seed, "verification").shared("covariance").standard_normal((d, d))
    rotation, triangular = np.linalg.qr(gaussian)
    rotation *= np.sign(np.diagonal(triangular))
    covariance = (rotation * spectrum) @ rotation.T
    return Gaussian((covariance + covariance.T) / 2), theta


def follow(
    case: str, dimension: int, n_train: int, exponent: float, relative_scale: float, n_times: int, seed: int
) -> pd.DataFrame:
    """All tables of a case in one, told apart by the column ``table``."""
    covariates, theta = problem(case, dimension, exponent, seed)
    scale = relative_scale * certificate(covariates, n_train, theta, 1.0).threshold
    proof = certificate(covariates, n_train, theta, scale)
    trajectory = gradient_flow(assumption3(theta, scale), covariates, n_train, math.inf)
    span = trajectory.time_to(1 - _LEFT)
    times = np.concatenate([[0.0], np.geomspace(span / 1e4, span, n_times - 1)])
    rotation = _descending(flow_coefficients(covariates, n_train).rotation)
    numbers = asdict(proof) | {"scale": scale, "late_rate": _late_rate(trajectory, float(trajectory.excess(0.0)))}
    numbers |= {f"time_to_{percent}": trajectory.time_to(percent / 100) for percent in (50, 90, 99)}
    tables = {
        "trajectory": _along(trajectory, times, PopulationLoss(covariates, n_train), proof, rotation),
        "limits": _limits(trajectory, minimizer(covariates, n_train), rotation),
        "certificates": pd.DataFrame([{key: float(value) for key, value in numbers.items()}]),
    }
    return several(tables, case=case)


def _along(
    trajectory: Trajectory, times: Vector, loss: PopulationLoss, proof: Certificate, rotation: Matrix | None
) -> pd.DataFrame:
    excess = trajectory.excess(times)
    _, u, U, _ = trajectory.blocks(times)
    U = U if rotation is None else rotation.T @ U @ rotation
    slopes = np.array([np.sum(loss.gradient(point).vector ** 2) for point in trajectory.parameters(times)])
    gap = proof.initial_loss - proof.minimum_loss
    values = {
        "u": u,
        "loss": trajectory.loss(times),
        "excess": excess,
        "pl_bound": gap * np.exp(-proof.pl_constant * times),
        "asymptote": excess[-1] * np.exp(-proof.asymptotic_rate * (times - times[-1])),
        "pl_ratio": slopes / (proof.pl_constant * excess),
        "balance": u**2 - np.sum(U**2, axis=(-2, -1)),
        "U": U,
        "uU": u[:, None, None] * U,
    }
    return pd.concat([_long(times, name, value) for name, value in values.items()], ignore_index=True)


def _limits(trajectory: Trajectory, theorem: LSAParameters, rotation: Matrix | None) -> pd.DataFrame:
    reached = trajectory.parameters(math.inf).blocks
    pairs = [("u", -1, -1, reached[1], theorem.blocks[1])]
    matrices = [x if rotation is None else rotation.T @ x @ rotation for x in (reached[2], theorem.blocks[2])]
    pairs += [("U", *at, float(matrices[0][at]), float(matrices[1][at])) for at in np.ndindex(matrices[0].shape)]
    return pd.DataFrame(pairs, columns=["quantity", "row", "col", "reached", "theorem"])


def _descending(rotation: Matrix | None) -> Matrix | None:
    return None if rotation is None else rotation[:, ::-1]


def _long(times: Vector, quantity: str, values: np.ndarray) -> pd.DataFrame:
    """One quantity over time, a row per time and entry."""
    if values.ndim == 1:
        row, col = np.full(len(times), -1), np.full(len(times), -1)
    else:
        d = values.shape[-1]
        row, col = (np.tile(index.ravel(), len(times)) for index in np.indices((d, d)))
        times = np.repeat(times, d * d)
    return pd.DataFrame({"t": times, "quantity": quantity, "row": row, "col": col, "value": values.ravel()})


def _late_rate(trajectory: Trajectory, initial: float) -> float:
    """Slope of −log(L − min L) between two late times."""
    early, late = (_time_of(trajectory, part * initial) for part in _LATE)
    return float(np.log(trajectory.excess(early) / trajectory.excess(late)) / (late - early))


def _time_of(trajectory: Trajectory, excess: float) -> float:
    """Time when L − min L falls to ``excess``, for parts of the gain that 1 − part cannot express."""
    low, high = 0.0, 1.0
    while trajectory.excess(high) > excess:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if trajectory.excess(middle) > excess else (low, middle)
    return high
