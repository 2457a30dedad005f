"""The picture of a panel's results, as a chart that the browser draws."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from iclab.explore.panels import Panel

# Far below what matters, and what no logarithmic axis can show.
_LEAST = 1e-16


def picture(panel: Panel, results: Mapping[str, Any]) -> alt.LayerChart:
    """Lines of a panel over its axis, as wide as its place; what is infinite, unknown or zero is left out."""
    x = np.asarray(results[panel.across[0]], dtype=float)
    parts = []
    for line in panel.lines:
        y = np.broadcast_to(np.asarray(results[line.result], dtype=float), x.shape)
        parts.append(pd.DataFrame({"x": x, "y": y, "line": line.label}))
    table = pd.concat(parts)
    table = table[np.isfinite(table["y"])]  # before the largest is sought: it may be infinite
    table = table[table["y"] > _LEAST * table["y"].abs().max()]
    labels = [line.label for line in panel.lines]
    colour = alt.Color("line:N", title=None, legend=alt.Legend(orient="top", columns=2)).scale(
        domain=labels, range=[line.colour for line in panel.lines]
    )
    dash = alt.StrokeDash("line:N", legend=None).scale(
        domain=labels, range=[[5, 4] if line.dashed else [1, 0] for line in panel.lines]
    )
    axes = {
        "x": alt.X("x:Q", title=panel.across[1]).scale(type="log", nice=False),
        "y": alt.Y("y:Q", title=panel.upwards, axis=alt.Axis(format="~g")).scale(type="log"),
    }
    lines = alt.Chart(table).mark_line(strokeWidth=2).encode(**axes, color=colour, strokeDash=dash)
    points = alt.Chart(table).mark_point(opacity=0, size=60).encode(**axes, tooltip=["line", "x", "y"])
    return alt.layer(lines, points).properties(width="container", height=300)
