"""What the study of varying covariances asks of its tables."""

from __future__ import annotations

import numpy as np
import pandas as pd

from iclab.foundations import normal_quantile
from iclab.studies.covariances.layer import GPT2, INDEPENDENT, LSA, NONE, OWN, RIDGE
from iclab.studies.folder import questions_of
from iclab.studies.rows import at_last, where
from iclab.studies.study import Answer, Number, Tables, Verdict, counted

# A training has learned when its error on prompts like its own is at most this part of the zero predictor's.
LEARNED = 0.1
# Largest deviation of an exact number from its formula.
EXACT = 1e-6
# Further off than this many standard errors, a measured error does not agree with the exact one.
FAR = 4.0


def own_runs(models: pd.DataFrame) -> pd.DataFrame:
    """GPT-2 on prompts like those of training at the largest M, one row per training, with the layer's exact error."""
    rows = at_last(where(models, inputs="own", scale=1, scaling=NONE), "position")
    layer = where(rows, predictor=LSA).set_index(["family", "cv2"])["error"].rename("layer")
    runs = where(rows, predictor=GPT2).join(layer, on=["family", "cv2"])
    return runs.assign(learned=runs["error"] <= LEARNED)


def lower(tables: Tables) -> Answer:
    """Whether GPT-2 has a lower error than the layer; models that learned nothing refute nothing."""
    runs = own_runs(tables["models"])
    reach = normal_quantile() * runs["stderr"]
    met = int((runs["error"] + reach < runs["layer"]).sum())
    missed = int((runs["error"] - reach > runs["layer"]).sum())
    varying = runs[runs["cv2"] > 0]
    numbers: dict[str, float | Number] = {"learned": varying["learned"].sum(), "of": len(varying)}
    learned = varying.loc[varying["learned"], "error"]
    for name, errors in (("GPT-2", learned), ("linear layer", varying["layer"])):
        if len(errors):
            numbers[name] = Number(float(errors.mean()), float(errors.min()), float(errors.max()))
    denied = Verdict.REFUTED if runs["learned"].any() else Verdict.UNDECIDED
    verdict = Verdict.CONFIRMED if met == len(runs) else Verdict.IN_PART if met else denied
    return Answer(verdict, met, missed, len(runs) - met - missed, numbers)


def _limits(tables: Tables) -> pd.DataFrame:
    return where(tables["layer"], coupling=INDEPENDENT, n=np.inf, trained=OWN, scaling=NONE)


def limit(tables: Tables) -> Answer:
    limits = _limits(tables)
    off = (limits["error"] - limits["biased_cv2"] / (1 + limits["biased_cv2"])).abs()
    exponential = where(limits, family="gamma", cv2=1)["error"]
    numbers = {"limit for Exp(1)": exponential.iloc[0]} if len(exponential) else {}
    return counted(off <= EXACT, **{"largest deviation": off.max()}, **numbers)


def variance(tables: Tables) -> Answer:
    limits = _limits(tables)
    spans = limits[limits["cv2"] > 0].groupby("cv2")["error"].agg(["min", "max", "size"])
    spans = spans[spans["size"] > 1]
    widest = (spans["max"] / spans["min"]).max() if len(spans) else np.nan
    return counted(spans["max"] - spans["min"] <= EXACT, **{"largest ratio": widest})


def _at_n(tables: Tables) -> pd.DataFrame:
    """Errors of the layer at the smallest N = M by distribution (rows), training and scaling (columns)."""
    rows = where(tables["layer"], coupling=INDEPENDENT, n=tables["layer"]["n"].min())
    return rows[rows["cv2"] > 0].pivot_table(index=["family", "cv2"], columns=["trained", "scaling"], values="error")


def helps(tables: Tables, *, trained: str, scaling: str) -> Answer:
    table = _at_n(tables)
    ratio = table[trained, scaling] / table[OWN, NONE]
    return counted(ratio < 1, **{"lowest ratio": ratio.min(), "highest ratio": ratio.max()})


def spread(tables: Tables) -> Answer:
    runs = own_runs(tables["models"])
    first, last = (getattr(runs.groupby("training_seed"), end)() for end in ("first", "last"))
    change, factors = last["error"] - first["error"], last["error"] / first["error"]
    reach = normal_quantile() * np.hypot(first["stderr"], last["stderr"])
    numbers = {"smallest factor": float(factors.min()), "largest factor": float(factors.max())}
    return counted(change > reach, change < -reach, **numbers)


def gains(tables: Tables, *, scaling: str) -> Answer:
    runs = where(at_last(tables["models"], "position"), predictor=GPT2, scaling=scaling)
    reach = normal_quantile() * runs["gain_stderr"]
    runs = runs.assign(better=runs["gain"] > reach, worse=runs["gain"] < -reach)
    counts = runs.groupby(["family", "cv2", "inputs", "scale"])[["better", "worse"]].all()
    top = at_last(runs, "scale")["error"]
    numbers = {"lowest error at the largest c": float(top.min()), "highest": float(top.max())}
    return counted(counts["better"], counts["worse"], **numbers)


def agreement(tables: Tables) -> Answer:
    classical = tables["classical"]
    scored = classical[np.isfinite(classical["exact"]) & (classical["stderr"] > 0)]
    z = (scored["mean"] - scored["exact"]) / scored["stderr"]
    farthest = {"farthest, in standard errors": float(z.iloc[int(z.abs().argmax())])} if len(z) else {}
    return counted(z.abs() <= FAR, **farthest)


def noisy(tables: Tables) -> Answer:
    rows = at_last(tables["classical"], "position")
    table = rows[rows["noise"] > 0].pivot_table(index=["family", "cv2"], columns="predictor", values="mean")
    ratio = table[LSA] / table[RIDGE]
    return Answer(Verdict.MEASURED, numbers={"smallest ratio": float(ratio.min()), "largest ratio": float(ratio.max())})


QUESTIONS = questions_of(globals())
