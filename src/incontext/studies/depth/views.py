"""Short tables for the page, from the long ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from incontext.studies.depth.forms import FULL, GD_PLUS, INVARIANT
from incontext.studies.depth.models import LINEAR, SOFTMAX


def views(tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """``overview``: errors by depth; ``wider``: forms beside one another; ``gains``: remedies at scale 1."""
    models = tables["models"]
    main = models[
        ((models["attention"] == LINEAR) & (models["form"] == GD_PLUS))
        | ((models["attention"] == SOFTMAX) & (models["form"] == INVARIANT))
    ].copy()
    main["weights"] = np.where(main["tied"], "tied", "untied")
    index = ["law", "attention", "weights"]
    rows = []
    for key, group in main.groupby(index, sort=False):
        row: dict[str, Any] = dict(zip(index, key, strict=True))
        for _, at in group.sort_values("layers").iterrows():
            row[f"L = {at['layers']}"] = at["test"]
            row[f"median, L = {at['layers']}"] = at["median"]
        rows.append(row)
    overview = pd.DataFrame(rows)
    layers = sorted(main["layers"].unique())
    overview = overview[[*index, *(f"{which}L = {n}" for n in layers for which in ("", "median, "))]]
    wider = models[(models["attention"] != SOFTMAX) & ~models["tied"]]
    deepest = models.loc[models["form"] == FULL, "layers"].max()
    wider = wider[wider["layers"] <= deepest]
    columns = ["law", "attention", "form", "layers", "numbers", "train", "test", "test_stderr", "near", "polished"]
    remedies = tables["remedies"].query("scale == 1").drop(columns=["scale"])
    return {"overview": overview, "wider": wider[columns].sort_values(["law", "layers"]), "gains": remedies}
