"""What the study of asymptotics asks of its tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import chi2

from iclab.foundations import normal_interval
from iclab.studies.asymptotics.measure import BEST, RIDGELESS
from iclab.studies.asymptotics.simulations import ERRORS, Cell
from iclab.studies.folder import questions_of
from iclab.studies.rows import at_last, where
from iclab.studies.study import Answer, Tables, cases, counted, tally

# Standard errors within which an intercept meets its limit.
AGREEMENT = 4.0
# Probability of a larger χ² below which a line does not fit.
FIT = 1e-3
# A gap below this has vanished; relative differences below the other are rounding.
VANISHED, ROUNDING = 1e-3, 1e-9
# Relative differences: of what should be constant, and of two computations of one number.
STEADY, SAME = 0.05, 1e-6
# Ranges of τ on both sides of the threshold.
RISE, FALL = (0.85, 0.99), (1.01, 1.5)


def printed(tables: Tables, *, source: str) -> Answer:
    """Whether ours rounds to what was printed."""
    rows = where(tables["published"], source=source)
    # Half a unit of the last digit, and rounding.
    return counted(rows["gap"] <= 0.5 + 1e-6, largest_gap=float(rows["gap"].max()))


def threshold(tables: Tables) -> Answer:
    """For every κ and error without penalty: rising before τ = 1, infinite there, falling beyond."""
    met = total = 0
    curves = tables["curves"]
    for _, rows in where(curves, penalty=RIDGELESS).groupby("kappa"):
        ordered = rows.sort_values("tau")
        tau = ordered["tau"].to_numpy()
        for name in ERRORS[: 1 if np.isinf(ordered["kappa"].iloc[0]) else None]:
            values = ordered[name].to_numpy()
            before, beyond = (values[(tau >= low) & (tau <= high)] for low, high in (RISE, FALL))
            rises, falls = bool((np.diff(before) > 0).all()), bool((np.diff(beyond) < 0).all())
            met += rises and falls and bool(np.isinf(values[tau == 1]).all())
            total += 1
    return tally(met, total - met)


def monotone(tables: Tables) -> Answer:
    """With the best penalty, ICL falls with every step of τ."""
    curves = tables["curves"]
    groups = [rows.sort_values("tau") for _, rows in where(curves, penalty=BEST).groupby("kappa")]
    met = sum(bool((np.diff(rows["icl"]) <= ROUNDING * rows["icl"].iloc[1:]).all()) for rows in groups)
    return tally(met, len(groups) - met, largest_penalty=float(max(rows["strength"].max() for rows in groups)))


def transition(tables: Tables) -> Answer:
    """At the largest α the gap is gone where κ > 1 and stays where κ < 1."""
    rows = at_last(tables["gaps"], "alpha")
    rows = rows[rows["kappa"] != 1]
    right = (rows["gap"] < VANISHED) == (rows["kappa"] > 1)
    numbers = {f"gap at κ = {kappa:g}": float(gap) for kappa, gap in rows[["kappa", "gap"]].itertuples(index=False)}
    return counted(right, **numbers)


def distinct(rows: pd.DataFrame) -> pd.DataFrame:
    """Errors without IDG at κ = ∞, which is ICL."""
    return rows[~((rows["error"] == "idg") & np.isinf(rows["kappa"]))]


def limits(tables: Tables) -> Answer:
    """Intercepts in 1/d against the limits."""
    rows = distinct(tables["intercepts"])
    numbers = {
        "largest_z": float(rows["z"].abs().max()),
        "largest_relative_difference": float((rows["intercept"] / rows["limit"] - 1).abs().max()),
        "largest_relative_standard_error": float((rows["stderr"] / rows["limit"]).max()),
        "intercepts_below_the_limit": int((rows["z"] < 0).sum()),
    }
    return counted(rows["z"].abs() < AGREEMENT, **numbers)


def parabolas(tables: Tables) -> Answer:
    """Intercepts of parabolas in 1/d, which need three dimensions, against the limits."""
    z: list[float] = []
    for _, rows in distinct(tables["simulations"]).groupby([*Cell._fields, "error"], sort=False, dropna=False):
        if len(rows) > 2:
            weights = 1 / rows["stderr"].to_numpy()
            fit, covariance = np.polyfit(1 / rows["dimension"], rows["value"], 2, w=weights, cov="unscaled")
            z.append(float((fit[2] - rows["limit"].iloc[0]) / np.sqrt(covariance[2, 2])))
    numbers: dict[str, float] = {"intercepts_below_the_limit": sum(value < 0 for value in z)}
    numbers |= {"largest_z": max(map(abs, z))} if z else {}
    return counted([abs(value) < AGREEMENT for value in z], **numbers)


def lines(tables: Tables) -> Answer:
    """Whether lines in 1/d fit the simulations."""
    rows = distinct(tables["intercepts"])
    chance = np.asarray(chi2.sf(rows["chi_square"].to_numpy(), rows["freedom"].to_numpy()))
    return counted(chance > FIT, smallest_probability=float(chance.min()))


def above(tables: Tables) -> Answer:
    """Simulated errors over their limits."""
    rows = distinct(tables["simulations"])
    low, high = normal_interval(rows["value"] / rows["limit"], rows["stderr"] / rows["limit"])
    return cases(pd.DataFrame({"x": rows["value"] / rows["limit"], "x_low": low, "x_high": high}), "x", 1.0)


def approach(tables: Tables) -> Answer:
    """Exact errors of the layer: d times their distance from the limit tends to a constant."""
    met: list[bool] = []
    for _, rows in tables["exact"].sort_values("dimension").groupby("alpha"):
        scaled = (rows["ratio"] - 1) * rows["dimension"]
        met.append(bool(abs(scaled.iloc[-1] / scaled.iloc[-2] - 1) < STEADY))
    ratios = tables["exact"]["ratio"]
    return counted(met, lowest_ratio=float(ratios.min()), highest_ratio=float(ratios.max()))


def _by_test(tables: Tables) -> list[pd.DataFrame]:
    groups = tables["mismatch"].groupby(["alpha", "tau", "kappa", "test"], sort=False)
    return [rows.sort_values("training").reset_index(drop=True) for _, rows in groups]


def matched(tables: Tables) -> Answer:
    """Whether the least error is where training has the covariance of the test, where that was tried."""
    groups = [rows for rows in _by_test(tables) if (rows["training"] == rows["test"]).any()]
    best = [rows.iloc[int(rows["icl"].argmin())] for rows in groups]
    return counted([row["training"] == row["test"] for row in best])


def diversity(tables: Tables) -> Answer:
    """Isotropic training tasks are better than the most concentrated ones for one test and worse for another."""
    gain = np.array([rows["icl"].iloc[-1] - rows["icl"].iloc[0] for rows in _by_test(tables)])
    helps, harms = int((gain > 0).sum()), int((gain < 0).sum())
    return counted([helps > 0, harms > 0], **{"tests where diversity helps": helps, "tests where it harms": harms})


def integrals(tables: Tables) -> Answer:
    """Errors of depth from orthogonal polynomials against integrals of the density."""
    rows = tables["depth"].dropna()
    gaps = pd.concat([(rows[f"{name}_integral"] / rows[name] - 1).abs() for name in ("untied", "tied")])
    return counted(gaps < SAME, largest_relative_difference=float(gaps.max()))


def deeper(tables: Tables) -> Answer:
    """More layers lower both errors, and layers of their own are better than one repeated."""
    met: list[bool] = []
    for _, rows in tables["depth"].sort_values("layers").groupby("alpha"):
        deep = rows[rows["layers"] > 1]
        met += [bool((np.diff(rows[name]) < 0).all()) for name in ("untied", "tied")]
        met.append(bool((deep["untied"] < deep["tied"]).all()))
    return counted(met)


QUESTIONS = questions_of(globals())
