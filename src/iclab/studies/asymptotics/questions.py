"""What the study of asymptotics asks of its tables."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy.stats import chi2

from iclab.foundations import normal_interval
from iclab.studies.asymptotics.measure import BEST, RIDGELESS
from iclab.studies.asymptotics.published import BORDELON, LETEY, LU
from iclab.studies.asymptotics.simulations import ERRORS
from iclab.studies.study import Answer, Question, Tables, cases, verdict_of

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


def counted(met: int, total: int, **numbers: float) -> Answer:
    """An answer of exact cases."""
    return Answer(verdict_of(met, total - met), met, total - met, 0, numbers)


def printed(source: str) -> Callable[[Tables], Answer]:
    """Whether ours rounds to what was printed."""

    def ask(tables: Tables) -> Answer:
        rows = tables["published"]
        rows = rows[rows["source"] == source]
        # Half a unit of the last digit, and rounding.
        return counted(int((rows["gap"] <= 0.5 + 1e-6).sum()), len(rows), largest_gap=float(rows["gap"].max()))

    return ask


def threshold(tables: Tables) -> Answer:
    """For every κ and error without penalty: rising before τ = 1, infinite there, falling beyond."""
    met = total = 0
    curves = tables["curves"]
    for _, rows in curves[curves["penalty"] == RIDGELESS].groupby("kappa"):
        ordered = rows.sort_values("tau")
        tau = ordered["tau"].to_numpy()
        for name in ERRORS:
            values = ordered[name].to_numpy()
            before, beyond = (values[(tau >= low) & (tau <= high)] for low, high in (RISE, FALL))
            rises, falls = bool((np.diff(before) > 0).all()), bool((np.diff(beyond) < 0).all())
            met += rises and falls and bool(np.isinf(values[tau == 1]).all())
            total += 1
    return counted(met, total)


def monotone(tables: Tables) -> Answer:
    """With the best penalty, ICL falls with every step of τ."""
    curves = tables["curves"]
    groups = [rows.sort_values("tau") for _, rows in curves[curves["penalty"] == BEST].groupby("kappa")]
    met = sum(bool((np.diff(rows["icl"]) <= ROUNDING * rows["icl"].iloc[1:]).all()) for rows in groups)
    return counted(met, len(groups), largest_penalty=float(max(rows["strength"].max() for rows in groups)))


def transition(tables: Tables) -> Answer:
    """At the largest α the gap is gone where κ > 1 and stays where κ < 1."""
    rows = tables["gaps"]
    rows = rows[(rows["alpha"] == rows["alpha"].max()) & (rows["kappa"] != 1)]
    right = (rows["gap"] < VANISHED) == (rows["kappa"] > 1)
    numbers = {f"gap at κ = {kappa:g}": float(gap) for kappa, gap in rows[["kappa", "gap"]].itertuples(index=False)}
    return Answer(verdict_of(int(right.sum()), int((~right).sum())), int(right.sum()), int((~right).sum()), 0, numbers)


def limits(tables: Tables) -> Answer:
    """Intercepts in 1/d against the limits."""
    rows = tables["intercepts"]
    met = int((rows["z"].abs() < AGREEMENT).sum())
    largest = float((rows["intercept"] / rows["limit"] - 1).abs().max())
    spread = float((rows["stderr"] / rows["limit"]).max())
    numbers = {"largest_relative_difference": largest, "largest_relative_standard_error": spread}
    return counted(met, len(rows), largest_z=float(rows["z"].abs().max()), **numbers)


def lines(tables: Tables) -> Answer:
    """Whether lines in 1/d fit the simulations."""
    rows = tables["intercepts"]
    chance = np.asarray(chi2.sf(rows["chi_square"].to_numpy(), rows["freedom"].to_numpy()))
    return counted(int((chance > FIT).sum()), len(rows), smallest_probability=float(chance.min()))


def above(tables: Tables) -> Answer:
    """Simulated errors over their limits."""
    rows = tables["simulations"]
    low, high = normal_interval(rows["value"] / rows["limit"], rows["stderr"] / rows["limit"])
    return cases(pd.DataFrame({"x": rows["value"] / rows["limit"], "x_low": low, "x_high": high}), "x", 1.0)


def approach(tables: Tables) -> Answer:
    """Exact errors of the layer: d times their distance from the limit tends to a constant."""
    met, total = 0, 0
    for _, rows in tables["exact"].groupby("alpha"):
        ordered = rows.sort_values("dimension")
        scaled = (ordered["ratio"] - 1) * ordered["dimension"]
        met += bool(abs(scaled.iloc[-1] / scaled.iloc[-2] - 1) < STEADY)
        total += 1
    ratios = tables["exact"]["ratio"]
    return counted(met, total, lowest_ratio=float(ratios.min()), highest_ratio=float(ratios.max()))


def _by_test(tables: Tables) -> list[pd.DataFrame]:
    groups = tables["mismatch"].groupby(["alpha", "tau", "kappa", "test"], sort=False)
    return [rows.sort_values("training").reset_index(drop=True) for _, rows in groups]


def matched(tables: Tables) -> Answer:
    """Whether the least error is where training has the covariance of the test, where that was tried."""
    groups = [rows for rows in _by_test(tables) if (rows["training"] == rows["test"]).any()]
    best = [rows.iloc[int(rows["icl"].argmin())] for rows in groups]
    return counted(sum(bool(row["training"] == row["test"]) for row in best), len(best))


def diversity(tables: Tables) -> Answer:
    """Isotropic training tasks are better than the most concentrated ones for one test and worse for another."""
    gain = np.array([rows["icl"].iloc[-1] - rows["icl"].iloc[0] for rows in _by_test(tables)])
    helps, harms = int((gain > 0).sum()), int((gain < 0).sum())
    numbers = {"tests where diversity helps": helps, "tests where it harms": harms}
    found = int(helps > 0) + int(harms > 0)
    return Answer(verdict_of(found, 2 - found), found, 2 - found, 0, numbers)


def integrals(tables: Tables) -> Answer:
    """Errors of depth from orthogonal polynomials against integrals of the density."""
    rows = tables["depth"].dropna()
    gaps = pd.concat([(rows[f"{name}_integral"] / rows[name] - 1).abs() for name in ("untied", "tied")])
    return counted(int((gaps < SAME).sum()), len(gaps), largest_relative_difference=float(gaps.max()))


def deeper(tables: Tables) -> Answer:
    """More layers lower both errors, and layers of their own are better than one repeated."""
    met, total = 0, 0
    for _, rows in tables["depth"].groupby("alpha"):
        ordered = rows.sort_values("layers")
        deep = ordered[ordered["layers"] > 1]
        falls = [bool((np.diff(ordered[name]) < 0).all()) for name in ("untied", "tied")]
        met += sum(falls) + bool((deep["untied"] < deep["tied"]).all())
        total += 3
    return counted(met, total)


QUESTIONS = (
    Question(
        "published",
        "The limits have the published values.",
        "Ours rounds to every printed digit.",
        printed(LU),
        LU,
        lead=True,
    ),
    Question(
        "limits",
        "Simulations tend to the limits.",
        "Distance of the intercept of a line in 1/d from the limit at most the threshold, in standard errors.",
        limits,
        f"{LU}, {LETEY}",
        lead=True,
        thresholds={"threshold": AGREEMENT},
    ),
    Question(
        "lines",
        "A line in 1/d describes the simulations.",
        "A larger χ² has a probability above the threshold.",
        lines,
        thresholds={"threshold": FIT},
    ),
    Question(
        "above",
        "Errors at finite d lie above their limits.",
        "95 % interval of simulated error over limit above 1.",
        above,
        LU,
    ),
    Question(
        "threshold",
        "Without a penalty, errors rise towards τ = 1, diverge there, and fall again.",
        "Rising from the lower τ to 1, infinite at 1, falling from there to the upper τ; ICL and IDG at every κ.",
        threshold,
        LU,
        thresholds={"lower τ": RISE[0], "upper τ": FALL[1]},
    ),
    Question(
        "monotone",
        "The best penalty removes the second descent.",
        "With the penalty of least ICL, ICL never rises with τ, at every κ.",
        monotone,
    ),
    Question(
        "transition",
        "With many long prompts, a pool of fewer than d tasks is memorised, and one of more is generalised from.",
        "At τ = ∞ and the longest prompts ICL − IDG is below the threshold where κ > 1, and not where κ < 1.",
        transition,
        LU,
        thresholds={"threshold": VANISHED},
    ),
    Question(
        "exact",
        "The paper's layer, exact at finite d, approaches the limit of infinitely many prompts and tasks as 1/d.",
        "Relative difference of d·(error/limit − 1) between the two largest d below the threshold.",
        approach,
        thresholds={"threshold": STEADY},
    ),
    Question(
        "matched",
        "Training on the covariance of the test's tasks is best.",
        "Least ICL among the trainings tried at the exponent of the test.",
        matched,
    ),
    Question(
        "diversity",
        "More diverse training tasks help for some tests and harm for others.",
        "ICL after isotropic training tasks lower than after the most concentrated for one test, higher for another.",
        diversity,
        LETEY,
    ),
    Question(
        "depth",
        "The errors by depth have the published values.",
        "Ours rounds to every printed digit.",
        printed(BORDELON),
        BORDELON,
    ),
    Question(
        "integrals",
        "Orthogonal polynomials and integrals of the density give the same errors by depth.",
        "Relative difference below the threshold.",
        integrals,
        thresholds={"threshold": SAME},
    ),
    Question(
        "deeper",
        "At finite α every further layer lowers the error, and layers of their own are better than one repeated.",
        "Errors fall with L, untied and tied, and untied is below tied from two layers on, at every α.",
        deeper,
        BORDELON,
    ),
)
