"""The problems whose plateaus are followed, and one flow, summed up."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64
from scipy import stats

from iclab.flow import FactoredHeads, HeadFlow, HeadsLoss, MergedHeads, head_flow, predicted_drops
from iclab.foundations import Draws, Vector
from iclab.prompts import Gaussian, RandomDiagonal
from iclab.studies.store import several
from iclab.theory import plateau_losses

# Λ of Zhang et al. (2025): eigenvalues 1, …, 4 over 10, in a random basis, N = 31.
SPECTRUM = (0.4, 0.3, 0.2, 0.1)
N_TRAIN = 31
FIXED, NOISY, NARROW, WIDE = "fixed Λ", "label noise", "narrow random Λ", "wide random Λ"
# Squared coefficients of variation of the eigenvalues, whose means are those of the spectrum; and the noise variance.
_SPREADS = {NARROW: 0.05, WIDE: 1.0}
NOISE = 1.0
# An error within this part of a level is near it.
NEAR = 0.05
_POINTS = 200


@dataclass(frozen=True)
class Problem:
    """Covariances and noise, by name."""

    name: str

    @property
    def noise(self) -> float:
        """Variance of the label noise."""
        return NOISE if self.name == NOISY else 0.0

    @property
    def covariates(self) -> Gaussian | RandomDiagonal:
        """The distribution of x."""
        if self.name in _SPREADS:
            shape = 1 / _SPREADS[self.name]
            return RandomDiagonal([stats.gamma(shape, scale=mean / shape) for mean in SPECTRUM])
        normals = Draws(0, "verification").shared("covariance").standard_normal((len(SPECTRUM),) * 2)
        rotation = np.linalg.qr(normals)[0]
        covariance = (rotation * np.array(SPECTRUM)) @ rotation.T
        return Gaussian((covariance + covariance.T) / 2)

    @property
    def levels(self) -> Vector:
        """Predicted heights of the plateaus, tr Λ first."""
        return plateau_losses(self.covariates, N_TRAIN, self.noise)

    @property
    def loss(self) -> HeadsLoss:
        """What is descended."""
        return HeadsLoss(self.covariates, N_TRAIN, self.noise)


def drive(loss: HeadsLoss) -> Vector:
    """ξ_i = E λ_i², in the coordinates of the loss."""
    return np.diagonal(loss.decay) * np.diagonal(loss.target)


def followed(problem: Problem, n_heads: int, rank: int, scale: float, seed: int) -> pd.DataFrame:
    """A flow with keys and queries apart: tables ``levels``, ``drops`` (of rank one) and ``path`` in one.

    ``levels``: level, predicted, near (time within 5 % of it), rest (error where it falls most slowly between the
    drops around it; NaN where there are none), gap (rest/predicted − 1). ``drops``: drop, predicted, time, gap, and
    whether the ``directions`` learned by then are the predicted ones. ``path``: t, error.
    """
    levels, loss = problem.levels, problem.loss
    start = FactoredHeads.random(n_heads, rank, len(SPECTRUM), scale, seed)
    predicted = predicted_drops(start, problem.covariates, N_TRAIN, problem.noise) if rank == 1 else None
    end = 2 / (scale * float(drive(loss).min()))
    if predicted is not None and predicted.kept and len(predicted.times) == len(levels) - 1:
        end = 1.3 * float(predicted.times[-1])
    flow = head_flow(start, problem.covariates, N_TRAIN, end, noise_variance=problem.noise, tolerance=1e-7)
    times = flow.drop_times(levels)
    tables = {"levels": _levels(flow, levels, times), "path": path_of(flow, 1e-3 * float(np.min(times)))}
    if predicted is not None:
        n = len(predicted.times)
        rows = {"drop": np.arange(1, n + 1), "predicted": predicted.times, "time": times[:n]}
        rows |= {"gap": predicted.times / times[:n] - 1}
        rows |= {"directions": [_learned(flow, predicted.directions[: m + 1], times, m, loss) for m in range(n)]}
        tables["drops"] = pd.DataFrame({**rows, "kept": predicted.kept})
    return several(tables, problem=problem.name, rank=rank, scale=scale, seed=seed)


def path_of(flow: HeadFlow[Any], first: float) -> pd.DataFrame:
    """Errors at times spaced as powers."""
    times = np.geomspace(max(first, 1e-9 * flow.t_end), flow.t_end, _POINTS)
    return pd.DataFrame({"t": times, "error": flow.error(times)})


def _levels(flow: HeadFlow[Any], levels: Vector, times: Vector) -> pd.DataFrame:
    grid = np.concatenate([[0.0], np.geomspace(1e-4 * flow.t_end, flow.t_end, 4 * _POINTS)])
    errors = flow.error(grid)
    rest = np.array([np.nan, *(_rest(grid, errors, low, high) for low, high in pairwise(times)), np.nan])
    near = [time_near(grid, errors, level) for level in levels]
    numbers = {"predicted": levels, "near": near, "rest": rest, "gap": rest / levels - 1}
    return pd.DataFrame({"level": np.arange(len(levels)), **numbers})


def time_near(t: Vector, errors: Vector, level: float) -> float:
    """Time during which an error, on a grid, is near a level."""
    middle = (errors[1:] + errors[:-1]) / 2
    return float(np.diff(t)[np.abs(middle / level - 1) <= NEAR].sum())


def _rest(t: Vector, errors: Vector, low: float, high: float) -> float:
    """The error where it falls most slowly in a span of time."""
    inside = np.flatnonzero((t > low) & (t < high))
    if math.isinf(high) or len(inside) < 3:
        return math.nan
    slopes = -np.gradient(errors[inside], t[inside])
    return float(errors[inside[int(np.argmin(slopes))]])


def _learned(flow: HeadFlow[Any], directions: np.ndarray, times: Vector, drop: int, loss: HeadsLoss) -> bool:
    """Whether after a drop just these directions, by rank of drive, have more than half of their final entry of V."""
    later = times[drop + 1] if drop + 1 < len(times) else flow.t_end
    if not math.isfinite(times[drop]):
        return False
    moment = math.sqrt(times[drop] * min(later, flow.t_end))
    product: Float64[np.ndarray, "d d"] = flow.heads(moment).product
    if loss.rotation is not None:
        product = loss.rotation.T @ product @ loss.rotation
    order = np.argsort(-drive(loss), kind="stable")
    share = (np.diagonal(product) / np.diagonal(loss.target))[order]
    return set(np.flatnonzero(share > 0.5)) == set(directions.tolist())


def merged(n_heads: int, scale: float, seed: int) -> pd.DataFrame:
    """Merged heads: ``levels`` (level, predicted, near), ``path``, and ``logistic`` with the closed form for Λ = I/d.

    From small weights the growing mode of a head is (v + tr W/√d)/2; u² = Σ of their squares e^{2βt} is logistic.
    """
    problem, d = Problem(FIXED), len(SPECTRUM)
    start = MergedHeads.random(n_heads, d, scale, seed)
    speed = drive(problem.loss)
    wait = math.log(1 / scale) / float(np.linalg.norm(speed))
    flow = head_flow(start, problem.covariates, N_TRAIN, wait + 8 / float(speed.min()))
    grid = np.linspace(0, flow.t_end, 8 * _POINTS)
    errors, levels = flow.error(grid), problem.levels
    falling = (errors < 0.98 * levels[0]) & (errors > 1.02 * levels[-1])
    near = [time_near(grid[falling], errors[falling], level) for level in levels]
    rows = {"level": np.arange(d + 1), "predicted": levels, "near": near}
    rows |= {"falling": float(np.diff(grid)[falling[1:]].sum())}
    tables = {"levels": pd.DataFrame(rows), "path": path_of(flow, 1.0), "logistic": logistic(start)}
    return several(tables, problem="merged", rank=d, scale=scale, seed=seed)


def logistic(start: MergedHeads) -> pd.DataFrame:
    """The error for Λ = I/d, followed and in closed form, by time."""
    d = start.dimension
    value, law = 1 / d, Gaussian(np.eye(d) / d)
    weights = start.vector[: len(start.cores)]
    beta, curvature = value**2 * math.sqrt(d), (1 + (d + 1) / N_TRAIN) * value**3
    modes = (weights + np.trace(start.cores, axis1=1, axis2=2) / math.sqrt(d)) / 2
    first, limit = float(modes @ modes), beta / curvature
    middle = math.log(limit / first) / (2 * beta)
    flow = head_flow(start, law, N_TRAIN, 2 * middle)
    times = np.linspace(0.5 * middle, 2 * middle, 200)
    growth = limit / (1 + (limit / first - 1) * np.exp(-2 * beta * times))
    # ŷ = (u²/√d) w'Λ̂x on average: the error is a quadratic of u².
    share = growth / math.sqrt(d)
    exact = d * value - 2 * share * d * value**2 + share**2 * d * curvature
    return pd.DataFrame({"t": times, "error": flow.error(times), "exact": exact})
