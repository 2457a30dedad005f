"""Tables made of the cells: how many shifts are tolerated, by predictor, and what models of a kind do alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from iclab.studies.rows import at_last, where

# What the paper says that the layer tolerates; the rest are other inputs.
BENIGN = ("task", "labels", "query")
VERDICTS = ("tolerated", "not tolerated", "undecided")
KIND = ["family", "embedding", "attention"]


def counts(cells: pd.DataFrame) -> pd.DataFrame:
    """How many shifts of each kind a predictor tolerates, does not tolerate, and leaves open."""
    groups = cells[cells["counted"]].groupby(["predictor", "group", "kind"], sort=False)
    return pd.DataFrame([{"predictor": x, "group": y, "kind": z, **_tally(own)} for (x, y, z), own in groups])


def overview(cells: pd.DataFrame) -> pd.DataFrame:
    """A row per predictor: its excess on what it was made for, tolerated shifts, and the worst shift.

    Counts are of shifts of tasks, labels and queries (``other_…``), and of inputs (``inputs_…``).
    """
    rows: list[dict[str, Any]] = []
    for (name, group, family, learned), own in cells.groupby(["predictor", "group", "family", "learned"], sort=False):
        row: dict[str, Any] = {"predictor": name, "group": group, "family": family, "learned": learned}
        at_m = at_last(own, "M").iloc[0]
        row |= {"excess": at_m["unshifted"], "stderr": at_m["unshifted_stderr"]}
        counted = own[own["counted"]]
        benign = counted["kind"].isin(BENIGN)
        for label, part in (("other", counted[benign]), ("inputs", counted[~benign])):
            row |= {f"{label}_{key.replace(' ', '_')}": count for key, count in _tally(part).items()}
        failing = where(counted, verdict="not tolerated").sort_values("growth", ascending=False)
        ends = ["growth", "growth_low", "growth_high"]
        worst = dict.fromkeys(ends, np.nan) if failing.empty else failing[ends].iloc[0]
        rows.append({**row, "worst": None if failing.empty else failing["shift"].iloc[0], **worst})
    return pd.DataFrame(rows)


def differences(cells: pd.DataFrame) -> pd.DataFrame:
    """Shifts that all models of a kind tolerate, unlike the layer, or that none of them does, unlike least squares.

    A kind is a family with an embedding and an attention; ``unlike`` names what it is compared with: the layer of the
    same training, or least squares on the same prompts.
    """
    shifted = cells[cells["counted"]]
    models = where(shifted, group="transformer", learned=True)
    rows: list[dict[str, Any]] = []
    for key, own in models.groupby(KIND, sort=False):
        kind = dict(zip(KIND, key, strict=True)) | {"models": own["predictor"].nunique()}
        layer = where(shifted, group="linear layer", family=kind["family"])
        # Prompts are the same where what is shifted is.
        squares = where(shifted, predictor="least squares", family=kind["family"])
        for unlike, other, mine, its in (
            ("linear layer", layer, "tolerated", "not tolerated"),
            ("least squares", squares, "not tolerated", "tolerated"),
        ):
            alike = (own["verdict"] == mine).groupby(own["shift"], sort=False).all()
            theirs = set(other.loc[other["verdict"] == its, "shift"])
            rows += [{**kind, "unlike": unlike, "shift": name} for name in alike.index[alike] if name in theirs]
    return pd.DataFrame(rows, columns=[*KIND, "models", "unlike", "shift"])


def _tally(rows: pd.DataFrame) -> dict[str, int]:
    return {verdict: int((rows["verdict"] == verdict).sum()) for verdict in VERDICTS} | {"shifts": len(rows)}
