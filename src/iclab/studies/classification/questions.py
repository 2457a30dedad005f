"""What the study of classification asks of its tables."""

from __future__ import annotations

import numpy as np
import pandas as pd

from iclab.foundations import normal_quantile
from iclab.studies.classification.bursts import OWN, SHOWN
from iclab.studies.classification.logistic import BAYES, BESIDE, MODE, MODEL
from iclab.studies.folder import questions_of
from iclab.studies.rows import where
from iclab.studies.study import Answer, Number, Tables, Verdict, counted, mean_over, number_in

# Accuracy that is near to Bayes, as a distance; and the share of labels that are
# right.
NEAR, RIGHT = 0.05, 0.8
# The exponent of |μ| in d from which on Frei and Vardi have benign overfitting, and the largest d counts.
LARGE = 0.3
# Accuracies of independent code on the context's own labels and on clean ones, by d and exponent, and how near to
# them ours must be.
REFERENCE = {
    (50, 0.3): {"memory": 0.843, "clean": 0.951},
    (200, 0.3): {"memory": 0.876, "clean": 0.981},
}
CLOSE = 0.01


def _matrix(tables: Tables) -> pd.DataFrame:
    """Means over trainings with Student's intervals, by d and exponent."""
    rows = []
    for (dimension, exponent), own in tables["clusters"].groupby(["dimension", "exponent"]):
        row = {"dimension": dimension, "exponent": exponent, "bayes": float(own["bayes"].iloc[0])}
        for name in ("clean", "memory"):
            mean = mean_over(own[name])
            row |= {name: mean.value, f"{name}_low": mean.low, f"{name}_high": mean.high}
        rows.append(row)
    return pd.DataFrame(rows)


def memorises(tables: Tables) -> Answer:
    """Whether the accuracy on the context's own noisy labels exceeds the share of right ones."""
    rows = _matrix(tables)
    return counted(rows["memory_low"] > RIGHT, rows["memory_high"] < RIGHT, **_by_problem(rows, "memory"))


def _by_problem(rows: pd.DataFrame, name: str) -> dict[str, Number]:
    return {
        f"d = {row['dimension']:g}, exponent {row['exponent']:g}": number_in(row, name)
        for row in rows.to_dict("records")
    }


def published(tables: Tables) -> Answer:
    """Whether accuracies are those of independent code for the published setting, within a hundredth."""
    met, missed, numbers = [], [], {}
    for row in _matrix(tables).to_dict("records"):
        for name, value in REFERENCE.get((row["dimension"], row["exponent"]), {}).items():
            low, high = row[f"{name}_low"] - value, row[f"{name}_high"] - value
            met.append(low > -CLOSE and high < CLOSE)
            missed.append(high < -CLOSE or low > CLOSE)
            numbers[f"{name}, d = {row['dimension']:g}, less {value:g}"] = Number(row[name] - value, low, high)
    return counted(met, missed, **numbers)


def benign(tables: Tables) -> Answer:
    """Whether accuracy on clean labels is near to that of who knows μ, for large |μ|."""
    rows = _matrix(tables)
    rows = rows[rows["exponent"] >= LARGE]
    line = rows["bayes"] - NEAR
    return counted(rows["clean_low"] > line, rows["clean_high"] < line, **_by_problem(rows, "clean"))


def regression(tables: Tables) -> Answer:
    """Whether trained models have a smaller cross-entropy at N than the mode of logistic regression, by seed."""
    rows = tables["regression_gaps"]
    rows = rows[(rows["against"] == MODE) & ~rows["predictor"].isin(BESIDE)]
    numbers = {f"{row['predictor']} less {MODE}": number_in(row, "gap") for row in rows.to_dict("records")}
    return counted(rows["gap_high"] < 0, rows["gap_low"] > 0, **numbers)


def excess(tables: Tables) -> Answer:
    """Cross-entropies at N above Bayes."""
    rows = where(tables["regression_gaps"], against=BAYES)
    numbers = {str(row["predictor"]): number_in(row, "gap") for row in rows.to_dict("records")}
    return Answer(Verdict.MEASURED, numbers=numbers)


def rises(tables: Tables, *, test: str, axis: str, up: bool) -> Answer:
    """Whether an accuracy rises (or falls) from the least to the most of an axis, by the other one and seed."""
    other = {"burst": "n_classes", "n_classes": "burst"}[axis]
    rows = where(tables["bursts"], predictor=MODEL, test=test)
    keys = [other, "training_seed"]
    least, most = (rows[rows[axis] == end].set_index(keys) for end in (rows[axis].min(), rows[axis].max()))
    change = most["mean"] - least["mean"]
    reach = normal_quantile() * np.hypot(most["stderr"], least["stderr"])
    numbers = {f"change at {other.replace('_', ' ')} {value}": mean_over(own) for value, own in change.groupby(other)}
    change = change if up else -change
    return counted(change > reach, change < -reach, **numbers)


def conflict(tables: Tables) -> Answer:
    """Cells in which, on swapped labels, the shown label is answered more often than the own one."""
    rows = tables["bursts"]
    rows = where(rows, predictor=MODEL).pivot_table(
        index=["n_classes", "burst", "training_seed"], columns="test", values=["mean", "stderr"]
    )
    gap = rows["mean"][SHOWN] - rows["mean"][OWN]
    reach = normal_quantile() * np.hypot(rows["stderr"][SHOWN], rows["stderr"][OWN])
    return counted(gap > reach, gap < -reach)


QUESTIONS = questions_of(globals())
