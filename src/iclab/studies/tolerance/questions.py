"""What the study of tolerance asks of its tables."""

from __future__ import annotations

import pandas as pd

from iclab.studies.folder import questions_of
from iclab.studies.rows import where
from iclab.studies.shifts import questions as shifts
from iclab.studies.study import Answer, Number, Tables, Verdict, counted, tally
from iclab.studies.tolerance.views import BENIGN

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
    cells = tables["cells"]
    rows = where(cells, counted=True, learned=True, group=group)
    return rows if family is None else where(rows, family=family)


def _count(rows: pd.DataFrame, wanted: str, **numbers: float | Number) -> Answer:
    met = rows["verdict"] == wanted
    return counted(met, ~met & (rows["verdict"] != "undecided"), **numbers)


def layer(tables: Tables, benign: bool) -> Answer:
    """Which shifts the layer of the fixed covariance tolerates, and how many it cannot fail."""
    rows = _cells(tables, "linear layer", "fixed")
    rows = rows[rows["kind"].isin(BENIGN) == benign]
    if not benign:
        return _count(rows, "not tolerated")
    # Nothing changes, or the prediction is as good as the best one.
    same = (rows["growth"].abs() < ROUNDING) | ((rows["relative"] - rows["best"]).abs() < ROUNDING)
    return _count(rows, "tolerated", cannot_fail=int(same.sum()))


def transformers(tables: Tables, family: str) -> Answer:
    """How many shifts the transformers of a family tolerate, beside the layer of the same training."""
    rows, alone = _cells(tables, "transformer", family), _cells(tables, "linear layer", family)
    alike = _count(rows, "tolerated")
    per_model = (rows["verdict"] == "tolerated").groupby(rows["predictor"]).sum()
    numbers: dict[str, float | Number] = {"models": len(per_model), "shifts": len(alone)}
    numbers["linear_layer"] = int((alone["verdict"] == "tolerated").sum())
    if len(per_model):
        numbers |= {"fewest": int(per_model.min()), "most": int(per_model.max())}
    return Answer(Verdict.MEASURED, alike.met, alike.missed, alike.undecided, numbers)


def as_predicted(tables: Tables, family: str) -> Answer:
    """Per transformer and shift: whether its verdict is that of the layer of the same training, as theory gives it."""
    rows, cells = _cells(tables, "transformer", family), tables["cells"]
    layer = where(cells, counted=True, group="linear layer", family=family)
    theory = rows["shift"].map(layer.groupby("shift")["verdict"].first())
    decided = (rows["verdict"] != "undecided") & theory.isin(["tolerated", "not tolerated"])
    differs = decided & (rows["verdict"] != theory)
    more = int((differs & (rows["verdict"] == "tolerated")).sum())
    numbers = {"tolerated by the transformer alone": more, "by the layer alone": int(differs.sum()) - more}
    return counted(decided & ~differs, differs, **numbers)


def unlike(tables: Tables, other: str, family: str | None) -> Answer:
    """How many kinds of models differ from another predictor, all models of a kind alike."""
    models = _cells(tables, "transformer", family)
    kinds = models.groupby(["family", "embedding", "attention"]).ngroups
    rows = where(tables["differences"], unlike=other)
    rows = rows if family is None else where(rows, family=family)
    differing = rows.groupby(["family", "embedding", "attention"]).ngroups
    return tally(differing, kinds - differing, **{"shifts": len(rows)})


def cost(tables: Tables) -> Answer:
    """How often a tolerated shift raises the error much: the line is absolute."""
    rows = _cells(tables, "transformer")
    ratio = where(rows, verdict="tolerated")["ratio"]
    numbers = {f"above_{fold}_fold": int((ratio > fold).sum()) for fold in FOLDS}
    return Answer(Verdict.MEASURED if len(ratio) else Verdict.UNDECIDED, numbers={"tolerated": len(ratio), **numbers})


def closed_form(tables: Tables) -> Answer:
    """How many measured errors of the layer are where its closed form is."""
    z = _cells(tables, "linear layer")["z"].dropna().abs()
    numbers = {"largest_distance": float(z.max())} if len(z) else {}
    return counted(z <= AGREE, **numbers)


QUESTIONS = questions_of(globals())
