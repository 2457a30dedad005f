"""What the study of errors with high probability asks of its tables."""

from __future__ import annotations

import numpy as np
import pandas as pd

from iclab.studies.in_probability.measure import LAYER, LEAST_SQUARES, NEAR_MEAN, RIDGE
from iclab.studies.study import Answer, Question, Tables, cases, verdict_of

# An error/d below this is small; the zero predictor has 1.
SMALL = 0.1
# Of a constant, between the two largest dimensions.
STEADY = 0.05
# Share of prompts that counts as nearly all.
NEARLY_ALL = 0.95


def transformers(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of trained models."""
    return rows[~rows["predictor"].isin([LAYER, LEAST_SQUARES, RIDGE])]


def unlimited(tables: Tables) -> pd.DataFrame:
    """Layers with infinitely many examples in training and at test."""
    rows = tables["layer"]
    return rows[np.isinf(rows["N_over_d"]) & np.isinf(rows["M_over_d"])]


def concentrates(tables: Tables) -> Answer:
    """Standard deviation over the mean times √d, at the two largest d, for every N/d and M/d."""
    met = total = 0
    for _, rows in tables["layer"].groupby(["N_over_d", "M_over_d"]):
        ordered = rows.sort_values("d")
        scaled = (ordered["deviation"] / ordered["mean"] * np.sqrt(ordered["d"])).to_numpy()
        met += bool(abs(scaled[-1] / scaled[-2] - 1) < STEADY)
        total += 1
    relative = tables["layer"]["deviation"] / tables["layer"]["mean"]
    spread = {"smallest_relative_deviation": float(relative.min()), "largest_relative_deviation": float(relative.max())}
    return Answer(verdict_of(met, total - met), met, total - met, 0, spread)


def bounded(tables: Tables) -> Answer:
    """Whether drawn shares are compatible with the bound from two moments."""
    rows = tables["layer"]
    missed = int((rows["above_low"] > rows["cantelli"]).sum())
    tight = float((rows["above"] / rows["cantelli"]).max())
    return Answer(
        verdict_of(len(rows) - missed, missed), len(rows) - missed, missed, 0, {"largest_share_of_bound": tight}
    )


QUESTIONS = (
    Question(
        "concentrates",
        "The layer's error given a new covariance concentrates around its mean as 1/√d.",
        "Standard deviation over mean, times √d: relative difference between the two largest d below the threshold.",
        concentrates,
        "§4.3",
        lead=True,
        thresholds={"threshold": STEADY},
    ),
    Question(
        "near",
        "With probability .95 the layer's error is not much above its mean.",
        "95 % interval of its .95 quantile over its mean below the threshold, at every d, N and M.",
        lambda tables: cases(tables["layer"], "worst", NEAR_MEAN, above=False),
        "§4.3",
        thresholds={"threshold": NEAR_MEAN},
    ),
    Question(
        "small",
        "With unlimited examples the layer's error is small with high probability.",
        "95 % interval of its .95 quantile / d below the threshold, N = M = ∞.",
        lambda tables: cases(unlimited(tables), "q95", SMALL, above=False),
        "§4.3",
        lead=True,
        thresholds={"threshold": SMALL},
    ),
    Question(
        "lucky",
        "With unlimited examples the layer's error is small on one covariance in twenty.",
        "95 % interval of its .05 quantile / d below the threshold, N = M = ∞.",
        lambda tables: cases(unlimited(tables), "q5", SMALL, above=False),
        thresholds={"threshold": SMALL},
    ),
    Question(
        "bounded",
        "No more covariances are far above the mean than mean and variance allow.",
        "95 % interval of the share above 1.5 means not above Cantelli's bound.",
        bounded,
    ),
    Question(
        "gpt2",
        "GPT-2's error given a prompt is small with high probability.",
        "95 % interval of its .95 quantile / d below the threshold, for every model and length.",
        lambda tables: cases(transformers(tables["predictors"]), "q95", SMALL, above=False),
        "§4.3",
        lead=True,
        thresholds={"threshold": SMALL},
    ),
    Question(
        "pairs",
        "GPT-2 errs less than the layer on nearly every prompt.",
        "95 % interval of the share of prompts above the threshold.",
        lambda tables: cases(transformers(tables["pairs"]), "better", NEARLY_ALL),
        thresholds={"threshold": NEARLY_ALL},
    ),
)
