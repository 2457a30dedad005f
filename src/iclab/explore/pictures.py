"""The picture of a panel's results, as a chart that the browser draws."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from iclab.explore.panels import Panel

# Far below what matters, and what no logarithmic axis can show.
_LEAST = 1e-16


@dataclass(frozen=True)
class Picture:
    """A chart in the terms of Vega-Lite, which marimo brings along: nothing is drawn on this side."""

    chart: dict[str, Any]

    def _mime_(self) -> tuple[str, str]:
        """What marimo shows."""
        return "application/vnd.vegalite.v5+json", json.dumps(self.chart)


def picture(panel: Panel, results: Mapping[str, Any]) -> Picture:
    """Lines of a panel over its axis, as wide as its place; what is infinite, unknown or zero is left out."""
    x = np.asarray(results[panel.across[0]], dtype=float)
    ys = {line.label: np.broadcast_to(np.asarray(results[line.result], dtype=float), x.shape) for line in panel.lines}
    least = _LEAST * max((np.abs(y[np.isfinite(y)]).max(initial=0) for y in ys.values()), default=0)
    rows = [
        {"x": at, "y": value, "line": label}
        for label, y in ys.items()
        for at, value in zip(x.tolist(), y.tolist(), strict=True)
        if np.isfinite(value) and value > least
    ]
    colours = {"domain": list(ys), "range": [line.colour for line in panel.lines]}
    dashes = {"domain": list(ys), "range": [[5, 4] if line.dashed else [1, 0] for line in panel.lines]}
    axes = {
        "x": {"field": "x", "type": "quantitative", "title": panel.across[1], "scale": {"type": "log", "nice": False}},
        "y": {
            "field": "y",
            "type": "quantitative",
            "title": panel.upwards,
            "axis": {"format": "~g"},
            "scale": {"type": "log"},
        },
    }
    named = {"field": "line", "type": "nominal"}
    legend = {"title": None, "legend": {"orient": "top", "columns": 2}}
    line = {
        "mark": {"type": "line", "strokeWidth": 2},
        "encoding": {
            **axes,
            "color": {**named, **legend, "scale": colours},
            "strokeDash": {**named, "legend": None, "scale": dashes},
        },
    }
    told = [{"field": "line"}, {"field": "x", "type": "quantitative"}, {"field": "y", "type": "quantitative"}]
    point = {"mark": {"type": "point", "opacity": 0, "size": 60}, "encoding": {**axes, "tooltip": told}}
    return Picture(
        {
            "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
            "width": "container",
            "height": 300,
            "data": {"values": rows},
            "layer": [line, point],
        }
    )
