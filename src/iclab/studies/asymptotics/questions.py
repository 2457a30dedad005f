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
from iclab.studies.study import Answer, Tables, cases, counted

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
    gaps = where(tables["published"], source=source)["gap"]
    # Half a unit of the last digit, and rounding.
    return counted(gaps <= 0.5 + 1e-6, largest_gap=gaps.max())


def threshold(tables: Tables) -> Answer:
    met: list[bool] = []
    for kappa, rows in where(tables["curves"], penalty=RIDGELESS).sort_values("tau").groupby("kappa"):
        tau = rows["tau"]
        for name in ERRORS[:1] if kappa == np.inf else ERRORS:
            before, beyond = (rows.loc[(tau >= low) & (tau <= high), name] for low, high in (RISE, FALL))
            rises, falls = (np.diff(before) > 0).all(), (np.diff(beyond) < 0).all()
            met.append(bool(rises and falls and np.isinf(rows.loc[tau == 1, name]).all()))
    return counted(met)


def monotone(tables: Tables) -> Answer:
    curves = where(tables["curves"], penalty=BEST).sort_values("tau")
    met = [(np.diff(icl) <= ROUNDING * icl.iloc[1:]).all() for _, icl in curves.groupby("kappa")["icl"]]
    return counted(met, largest_penalty=curves["strength"].max())


def transition(tables: Tables) -> Answer:
    rows = at_last(tables["gaps"], "alpha")
    rows = rows[rows["kappa"] != 1]
    numbers = {f"gap at κ = {kappa:g}": gap for kappa, gap in zip(rows["kappa"], rows["gap"], strict=True)}
    return counted((rows["gap"] < VANISHED) == (rows["kappa"] > 1), **numbers)


def distinct(rows: pd.DataFrame) -> pd.DataFrame:
    """Errors without IDG at κ = ∞, which is ICL."""
    return rows[~((rows["error"] == "idg") & np.isinf(rows["kappa"]))]


def limits(tables: Tables) -> Answer:
    rows = distinct(tables["intercepts"])
    numbers = {
        "largest_z": rows["z"].abs().max(),
        "largest_relative_difference": (rows["intercept"] / rows["limit"] - 1).abs().max(),
        "largest_relative_standard_error": (rows["stderr"] / rows["limit"]).max(),
        "intercepts_below_the_limit": (rows["z"] < 0).sum(),
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
    rows = distinct(tables["intercepts"])
    chance = np.asarray(chi2.sf(rows["chi_square"].to_numpy(), rows["freedom"].to_numpy()))
    return counted(chance > FIT, smallest_probability=chance.min())


def above(tables: Tables) -> Answer:
    rows = distinct(tables["simulations"])
    x, stderr = rows["value"] / rows["limit"], rows["stderr"] / rows["limit"]
    low, high = normal_interval(x, stderr)
    return cases(pd.DataFrame({"x": x, "x_low": low, "x_high": high}), "x", 1.0)


def approach(tables: Tables) -> Answer:
    rows = tables["exact"].sort_values("dimension")
    groups = rows.assign(scaled=(rows["ratio"] - 1) * rows["dimension"]).groupby("alpha")["scaled"]
    met = [abs(scaled.iloc[-1] / scaled.iloc[-2] - 1) < STEADY for _, scaled in groups]
    return counted(met, lowest_ratio=rows["ratio"].min(), highest_ratio=rows["ratio"].max())


def _by_test(tables: Tables) -> list[pd.DataFrame]:
    groups = tables["mismatch"].groupby(["alpha", "tau", "kappa", "test"], sort=False)
    return [rows.sort_values("training").reset_index(drop=True) for _, rows in groups]


def matched(tables: Tables) -> Answer:
    """Whether the least error is where training has the covariance of the test, where that was tried."""
    groups = [rows for rows in _by_test(tables) if (rows["training"] == rows["test"]).any()]
    best = [rows.iloc[int(rows["icl"].argmin())] for rows in groups]
    return counted([row["training"] == row["test"] for row in best])


def diversity(tables: Tables) -> Answer:
    gain = np.array([rows["icl"].iloc[-1] - rows["icl"].iloc[0] for rows in _by_test(tables)])
    helps, harms = int((gain > 0).sum()), int((gain < 0).sum())
    return counted([helps > 0, harms > 0], **{"tests where diversity helps": helps, "tests where it harms": harms})


def integrals(tables: Tables) -> Answer:
    rows = tables["depth"].dropna()
    gaps = pd.concat([(rows[f"{name}_integral"] / rows[name] - 1).abs() for name in ("untied", "tied")])
    return counted(gaps < SAME, largest_relative_difference=gaps.max())


def deeper(tables: Tables) -> Answer:
    met: list[bool] = []
    for _, rows in tables["depth"].sort_values("layers").groupby("alpha"):
        deep = rows[rows["layers"] > 1]
        met += [bool((np.diff(rows[name]) < 0).all()) for name in ("untied", "tied")]
        met.append(bool((deep["untied"] < deep["tied"]).all()))
    return counted(met)


QUESTIONS = questions_of(globals())
