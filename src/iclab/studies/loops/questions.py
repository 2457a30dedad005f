"""What the study of loops asks of its tables."""

from __future__ import annotations

from iclab.studies.contests import hold, over_seeds
from iclab.studies.folder import questions_of
from iclab.studies.loops.measure import LOOPED
from iclab.studies.rows import at_last, where
from iclab.studies.study import Answer, Tables

# Ratio of errors up to which a looped model is as good as an untied one.
AS_GOOD = 1.5
# Ratio of errors up to which an error is kept when there are more loops than in training.
KEPT = 2.0


def against(tables: Tables, *, other: str, line: float) -> Answer:
    """Errors at N of the looped model over those of another one, seeds paired."""
    rows = at_last(where(tables["errors"], predictor="model"), "position")
    means = rows.pivot(index="training_seed", columns="case", values="mean")
    return hold({"ratio": over_seeds((means[LOOPED] / means[other]).to_numpy(float))}, line, above=False)


def _trained_loops(tables: Tables) -> int:
    return int(tables["trained"]["loops"].to_numpy(int)[0])


def beyond(tables: Tables) -> Answer:
    """Whether the error stays when the block is applied more often than in training."""
    rows = where(tables["loops"], predictor="model")
    means = rows.pivot(index="training_seed", columns="loops", values="mean")
    ratios = means[int(rows["loops"].max())] / means[_trained_loops(tables)]
    return hold({"ratio": over_seeds(ratios.to_numpy(float))}, KEPT, above=False)


def faster_than_descent(tables: Tables) -> Answer:
    """Whether the looped model has a smaller error than tied GD++ of as many steps."""
    rows = where(tables["loops"], loops=_trained_loops(tables))
    own = where(rows, predictor="model")["mean"].to_numpy(float)
    exact = where(rows, predictor="GD++")["mean"].to_numpy(float)
    return hold({"ratio": over_seeds(own / exact[0])}, 1.0, above=False)


QUESTIONS = questions_of(globals())
