"""What the study of tolerance asks of its tables."""

from __future__ import annotations

import pandas as pd

from iclab.studies.folder import questions_of
from iclab.studies.rows import where
from iclab.studies.shifts import questions as shifts
from iclab.studies.study import Answer, Number, Tables, Verdict, counted, tally
from iclab.studies.tolerance.views import BENIGN, KIND

TOLERANCE = shifts.TOLERANCE
# A model whose excess on what it was made for is above this has little to lose by a shift: it has not learned.
LEARNED = 0.5
# Measured differences below this are zero but for rounding.
ROUNDING = 1e-9
# By how much the error of a tolerated shift may have grown.
FOLDS = (10, 100)
# Standard errors between a measurement and the closed form.
AGREE = 4.0


def _cells(tables: Tables, group: str, family: str | None = None) -> pd.DataFrame:
    """Counted shifts of those that learned."""
    own = {} if family is None else {"family": family}
    return where(tables["cells"], counted=True, learned=True, group=group, **own)


def _count(rows: pd.DataFrame, wanted: str, **numbers: float | Number) -> Answer:
    met = rows["verdict"] == wanted
    return counted(met, ~met & (rows["verdict"] != "undecided"), **numbers)


def layer(tables: Tables, benign: bool) -> Answer:
    rows = _cells(tables, "linear layer", "fixed")
    rows = rows[rows["kind"].isin(BENIGN) == benign]
    if not benign:
        return _count(rows, "not tolerated")
    # Nothing changes, or the prediction is as good as the best one.
    same = (rows["growth"].abs() < ROUNDING) | ((rows["relative"] - rows["best"]).abs() < ROUNDING)
    return _count(rows, "tolerated", cannot_fail=int(same.sum()))


def transformers(tables: Tables, family: str) -> Answer:
    rows, alone = _cells(tables, "transformer", family), _cells(tables, "linear layer", family)
    alike = _count(rows, "tolerated")
    per_model = (rows["verdict"] == "tolerated").groupby(rows["predictor"]).sum()
    numbers = {"models": len(per_model), "shifts": len(alone), "linear_layer": (alone["verdict"] == "tolerated").sum()}
    numbers |= {"fewest": per_model.min(), "most": per_model.max()} if len(per_model) else {}
    return Answer(Verdict.MEASURED, alike.met, alike.missed, alike.undecided, numbers)


def as_predicted(tables: Tables, family: str) -> Answer:
    rows, cells = _cells(tables, "transformer", family), tables["cells"]
    layer = where(cells, counted=True, group="linear layer", family=family)
    theory = rows["shift"].map(layer.groupby("shift")["verdict"].first())
    decided = (rows["verdict"] != "undecided") & theory.isin(["tolerated", "not tolerated"])
    differs = decided & (rows["verdict"] != theory)
    more = int((differs & (rows["verdict"] == "tolerated")).sum())
    numbers = {"tolerated by the transformer alone": more, "by the layer alone": int(differs.sum()) - more}
    return counted(decided & ~differs, differs, **numbers)


def unlike(tables: Tables, other: str, family: str | None) -> Answer:
    models = _cells(tables, "transformer", family)
    rows = where(tables["differences"], unlike=other, **({} if family is None else {"family": family}))
    kinds, differing = (table.groupby(KIND).ngroups for table in (models, rows))
    return tally(differing, kinds - differing, **{"shifts": len(rows)})


def cost(tables: Tables) -> Answer:
    ratio = where(_cells(tables, "transformer"), verdict="tolerated")["ratio"]
    numbers = {f"above_{fold}_fold": int((ratio > fold).sum()) for fold in FOLDS}
    return Answer(Verdict.MEASURED if len(ratio) else Verdict.UNDECIDED, numbers={"tolerated": len(ratio), **numbers})


def closed_form(tables: Tables) -> Answer:
    z = _cells(tables, "linear layer")["z"].dropna().abs()
    return counted(z <= AGREE, **({"largest_distance": z.max()} if len(z) else {}))


QUESTIONS = questions_of(globals())
