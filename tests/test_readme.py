"""docs/experiments.md and docs/models.md say what the package has: studies, models, and what evaluations say."""

import re
from pathlib import Path

import pandas as pd
import pytest

from iclab.foundations import plus_minus
from iclab.models import shipped_models
from iclab.studies import REGISTRY

ROOT = Path(__file__).parents[1]
EXPERIMENTS, MODELS = ((ROOT / f"docs/{page}.md").read_text("utf-8") for page in ("experiments", "models"))
# Columns of the table of models: distribution and number of examples.
COLUMNS = (
    ("own law", 20),
    ("own law", 40),
    ("random_quadrants", 40),
    ("half_subspace", 40),
    ("scale-y=2", 40),
)


def rows(page, heading):
    """Cells of the rows of the table under a heading, by the names in their first cell."""
    part = page.split(f"# {heading}\n")[1].split("\n## ")[0]
    lines = [line.strip("|").split("|") for line in part.splitlines() if line.startswith("| `")]
    return {name: cells for first, *cells in lines for name in re.findall(r"`([\w-]+)`", first)}


def test_every_study_is_named():
    assert set(rows(EXPERIMENTS, "The studies of this package")) == {study.name for study in REGISTRY}


def test_every_model_is_named():
    assert set(rows(MODELS, "Pretrained models")) == set(shipped_models())


@pytest.mark.parametrize("name", list(shipped_models()))
def test_numbers_of_a_model_are_those_of_its_evaluation(name):
    table = pd.read_csv(shipped_models()[name] / "evaluation.csv")
    table = table[table["predictor"] == "model"].set_index(["distribution", "position"])
    stated = [cell.strip() for cell in rows(MODELS, "Pretrained models")[name][2:]]
    d = table["normaliser"].iloc[0]
    assert stated == [plus_minus(*(table.loc[key, ["mean", "stderr"]] / d)) for key in COLUMNS]


def test_what_is_said_of_robustness_follows_from_the_table():
    """Ratios to the released model: the ranges in the text, and the largest of the most robust model."""
    released = [0.0207, 0.00058, 0.00395, 0.00037, 0.00652]
    models = {
        name: [float(cell.split("±")[0]) / base for cell, base in zip(cells[2:], released, strict=True)]
        for name, cells in rows(MODELS, "Pretrained models").items()
    }
    fixed = pd.DataFrame({name: ratios for name, ratios in models.items() if "identity" in name})
    low, high = fixed.min(axis=1), fixed.max(axis=1)
    said = [(0.9, 3), (0.3, 1.2), (17, 270), (340, 930), (3, 12)]
    for i, (least, most) in enumerate(said):
        assert low[i] == pytest.approx(least, rel=0.15)
        assert high[i] == pytest.approx(most, rel=0.03)
    assert min(models, key=lambda name: max(models[name])) == "gpt2-columns-d20-random-exponential"
    assert max(models["gpt2-columns-d20-random-exponential"]) < 7.2
