"""What the study asks of its tables."""

from __future__ import annotations

from iclab.studies.study import Question, cases

# Error / d of the predictor that always says 0 is 1.
LINE = 0.5

QUESTIONS = (
    Question(
        "learned",
        "After N examples, every model halves the error of the zero predictor.",
        "95 % interval of the error / d below the threshold.",
        lambda tables: cases(tables["at_N"], "mean", LINE, above=False),
        thresholds={"threshold": LINE},
    ),
)
