"""What the study of errors with high probability asks of its tables."""

from __future__ import annotations

import numpy as np

from iclab.studies.folder import questions_of
from iclab.studies.in_probability.measure import LAYER, LEAST_SQUARES, RIDGE
from iclab.studies.study import Answer, Tables, cases, counted

# An error/d below this is small; the zero predictor has 1.
SMALL = 0.1
# Of a constant, between the two largest dimensions.
STEADY = 0.05
# Share of prompts that counts as nearly all.
NEARLY_ALL = 0.95


def transformers(tables: Tables, *, table: str, statistic: str, line: float, above: bool = True) -> Answer:
    """A statistic of trained models against a line."""
    rows = tables[table]
    return cases(rows[~rows["predictor"].isin([LAYER, LEAST_SQUARES, RIDGE])], statistic, line, above=above)


def concentrates(tables: Tables) -> Answer:
    """Standard deviation over the mean times √d, at the two largest d, for every N/d and M/d."""
    met: list[bool] = []
    for _, rows in tables["layer"].sort_values("d").groupby(["N_over_d", "M_over_d"]):
        scaled = (rows["deviation"] / rows["mean"] * np.sqrt(rows["d"])).to_numpy()
        met.append(bool(abs(scaled[-1] / scaled[-2] - 1) < STEADY))
    relative = tables["layer"]["deviation"] / tables["layer"]["mean"]
    spread = {"smallest_relative_deviation": float(relative.min()), "largest_relative_deviation": float(relative.max())}
    return counted(met, **spread)


def bounded(tables: Tables) -> Answer:
    """Whether drawn shares are compatible with the bound from two moments."""
    rows = tables["layer"]
    tight = float((rows["above"] / rows["cantelli"]).max())
    return counted(~(rows["above_low"] > rows["cantelli"]), largest_share_of_bound=tight)


QUESTIONS = questions_of(globals())
