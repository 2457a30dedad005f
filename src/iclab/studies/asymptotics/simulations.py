"""Simulations in finite dimensions, and lines through them in 1/d whose intercepts are held against the limits."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from iclab.foundations import Estimate, Matrix
from iclab.theory import Asymptotics, extrapolate, mismatch_asymptotics, ridge_asymptotics, simulate_attention

# Blocks of a covariance of tasks; dimensions are multiples of it.
BLOCKS = 4
ERRORS = ("icl", "idg")


class Cell(NamedTuple):
    """One problem: ratios, penalty, and the exponents of the covariances of tasks, NaN for tasks on the sphere."""

    alpha: float
    tau: float
    kappa: float
    penalty: float = 0.0
    training: float = math.nan
    test: float = math.nan

    @property
    def limit(self) -> Asymptotics:
        """Errors as d → ∞."""
        ratios = (self.alpha, self.tau, self.kappa, NOISE)
        if math.isnan(self.training):
            return ridge_asymptotics(*ratios, self.penalty)
        return mismatch_asymptotics(*ratios, tasks(self.training), tasks(self.test), self.penalty)


NOISE = 0.01
CELLS = (
    *(Cell(10, tau, 0.5) for tau in (0.2, 0.5, 2.0, 4.0)),
    Cell(10, 2.0, 2.0),
    Cell(10, 2.0, math.inf),
    Cell(10, 1.0, 0.5, penalty=0.1),
    Cell(4, 2.0, 1.0, training=1.0, test=2.0),
    Cell(4, 2.0, 1.0, training=1.0, test=0.0),
)


def tasks(exponent: float, dimension: int = BLOCKS) -> Matrix:
    """diag(i^{−exponent}), i = 1, …, 4, of mean 1, every entry for a quarter of the dimensions."""
    spectrum = np.arange(1.0, BLOCKS + 1) ** -exponent
    return np.diag(np.repeat(spectrum / spectrum.mean(), dimension // BLOCKS))


def simulated(cell: Cell, dimension: int, n_runs: int, seed: int) -> pd.DataFrame:
    """Errors of ``n_runs`` fits in d dimensions, a row for ICL and one for IDG."""
    given: dict[str, Any] = {}
    if not math.isnan(cell.training):
        given["training_covariance"] = tasks(cell.training, dimension)
        given["test_covariance"] = tasks(cell.test, dimension)
    ratios, limit = (cell.alpha, cell.tau, cell.kappa, NOISE), cell.limit
    # Another seed for every dimension: estimates on one line are independent.
    found = simulate_attention(dimension, *ratios, cell.penalty, n_runs=n_runs, seed=seed + dimension, **given)
    rows = []
    for name in ERRORS:
        estimate: Estimate = getattr(found, name)
        numbers = {"value": estimate.value, "stderr": estimate.standard_error, "n": estimate.n}
        row = {**cell._asdict(), "error": name, "dimension": dimension, **numbers, "limit": getattr(limit, name)}
        rows.append({**row, "prompts": found.n_prompts})
    return pd.DataFrame(rows)


def intercepts(rows: pd.DataFrame) -> pd.DataFrame:
    """Per cell and error: the intercept in 1/d of a line, its distance z from the limit, and the line's χ²."""
    found = []
    keys = [*Cell._fields, "error"]
    for values, one in rows.groupby(keys, sort=False, dropna=False):
        each = zip(one["value"], one["stderr"], one["n"], strict=True)
        estimates = [Estimate(value, stderr, n, 0) for value, stderr, n in each]
        line, limit = extrapolate(one["dimension"].tolist(), estimates), float(one["limit"].iloc[0])
        row = dict(zip(keys, values, strict=True)) | {"limit": limit, "intercept": line.value}
        row |= {"stderr": line.standard_error, "z": (line.value - limit) / line.standard_error}
        row |= {"chi_square": line.chi_square, "freedom": line.degrees_of_freedom}
        found.append({**row, "over": float(one.sort_values("dimension")["value"].iloc[-1]) / limit})
    return pd.DataFrame(found)
