"""Colours of predictors stay apart, for readers who see all of them and for those who do not."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from iclab.studies.drawing import (
    FAMILY_SHADES,
    FORMATS,
    PREDICTORS,
    curves,
    legend_below,
    panels,
    save_figure,
    shade,
)

# Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB.
SIGHT = {
    "full": np.eye(3),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
}


def _lab(color, sight):
    """CIE Lab of a colour as it is seen."""
    c = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.clip(sight @ np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4), 0, 1)
    to_xyz = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    x = np.array(to_xyz) @ linear / [0.95047, 1, 1.08883]
    f = np.where(x > 216 / 24389, np.cbrt(x), (24389 / 27 * x + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("kind", SIGHT)
def test_predictors_stay_apart(kind):
    # The zero predictor is dashed wherever it is drawn.
    shown = {name: color for name, color in PREDICTORS.items() if name != "zero"}
    shown |= {f"{family} {i}": color for family, shades in FAMILY_SHADES.items() for i, color in enumerate(shades)}
    seen = {name: _lab(color, SIGHT[kind]) for name, color in shown.items()}
    distances = {(a, b): float(np.linalg.norm(seen[a] - seen[b])) for a, b in combinations(seen, 2)}
    closest = min(distances, key=lambda pair: distances[pair])
    assert distances[closest] > 12, (closest, distances[closest])


def test_models_of_a_family_go_from_light_to_dark():
    for family, shades in FAMILY_SHADES.items():
        lightness = [_lab(shade(family, i, 3), np.eye(3))[0] for i in range(3)]
        assert lightness == sorted(lightness, reverse=True)
        assert shade(family, 0, 1) == shades[1]


@pytest.mark.parametrize("top", [1.5, 8.0, 1e6])
def test_whole_numbers_and_short_ranges_are_labelled_as_people_write_them(top):
    table = pd.DataFrame({"position": [0, 1, 2, 3], "mean": np.geomspace(1.0, top, 4)})
    figure = curves(table)
    figure.canvas.draw()
    [axis] = figure.axes
    assert (axis.get_xticks() % 1 == 0).all()
    low, high = axis.get_ylim()
    inside = [
        label.get_text()
        for at, label in zip(axis.get_yticks(), axis.get_yticklabels(), strict=True)
        if low <= at <= high
    ]
    assert len(inside) >= 3
    assert any("10^" in text for text in inside) is (top == 1e6)


def test_a_figure_is_drawn_once_for_every_file_and_has_the_same_bytes_again(tmp_path, monkeypatch):
    draws, draw = [], Figure.draw
    monkeypatch.setattr(Figure, "draw", lambda *given: draws.append(1) or draw(*given))
    for name in "ab":
        save_figure(curves(pd.DataFrame({"position": [0, 1, 2], "mean": [1.0, 2.0, 8.0]})), name, tmp_path)
    assert len(draws) == 2 * len(FORMATS)
    for suffix, head in {"svg": b"<?xml", "pdf": b"%PDF", "png": b"\x89PNG"}.items():
        first, second = ((tmp_path / f"{name}.{suffix}").read_bytes() for name in "ab")
        assert first.startswith(head)
        assert first == second


def test_a_legend_names_the_lines_of_all_panels_once():
    with panels((4, 2), 2) as (figure, axes):
        for ax, labels in zip(axes, ("ab", "bc"), strict=True):
            for label in labels:
                ax.plot([0, 1], label=label)
        legend_below(figure, 3)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b", "c"]
