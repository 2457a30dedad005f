"""Pages of docs say what the package has: studies, models, and what evaluations say."""

import re
from pathlib import Path

import pandas as pd
import pytest

from iclab.foundations import plus_minus
from iclab.models import shipped_models
from iclab.studies import REGISTRY

ROOT = Path(__file__).parents[1]
EXPERIMENTS, MODELS, SPEED = (
    (ROOT / f"docs/{page}.md").read_text("utf-8") for page in ("experiments", "models", "speed")
)
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
    return {name: cells for first, *cells in lines for name in re.findall(r"`([^`]+)`", first)}


def mean_of(cell):
    """The mean of "mean ± standard error", or of "(mean ± standard error)e−05"."""
    mean, exponent = re.match(r" *\(?([\d.]+)[^)]*(?:\)e−(\d+))?", cell).groups()
    return float(mean) / 10 ** int(exponent or 0)


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
        name: [mean_of(cell) / base for cell, base in zip(cells[2:], released, strict=True)]
        for name, cells in rows(MODELS, "Pretrained models").items()
    }
    models = {name: ratios for name, ratios in models.items() if not name.startswith("mesa")}
    fixed = pd.DataFrame({name: ratios for name, ratios in models.items() if "identity" in name})
    low, high = fixed.min(axis=1), fixed.max(axis=1)
    said = [(0.9, 3), (0.3, 1.2), (17, 270), (340, 930), (3, 12)]
    for i, (least, most) in enumerate(said):
        assert low[i] == pytest.approx(least, rel=0.15)
        assert high[i] == pytest.approx(most, rel=0.03)
    largest = pd.DataFrame({name: ratios for name, ratios in models.items() if "mixture" not in name}).max()
    assert largest.idxmin() == "gpt2-columns-d20-random-exponential"
    assert largest.min() < 7.2


MIXTURE, DEFAULT = "A mixture of laws at the paper's dimension", "The default recipe"
# What is said of a model on the whole suite: the section, its column there, which error is not below the released
# model's and how large it is beside it, and which are below it by less than two standard errors.
SUITES = {
    "mesa-columns-d20-identity": (DEFAULT, 1, ("noisyLR", 20), 3.78, set()),
    "mesa-columns-d20-identity-noisy": (DEFAULT, 2, None, None, {("standard", 20)}),
    "linear-columns-d20-mixture": (
        MIXTURE,
        2,
        ("standard", 20),
        1.24,
        {("scale-x=1/3", 40), ("scale-y=0.5", 20), ("scale-y=2", 20)},
    ),
    "linear-columns-d20-mixture-deep": (MIXTURE, 3, ("noisyLR", 20), 1.18, {("standard", 20)}),
    "linear-columns-d20-mixture-noisy": (MIXTURE, 4, None, None, set()),
}


@pytest.mark.parametrize("name", SUITES)
def test_what_is_said_of_the_suite_follows_from_the_evaluation(name):
    """Errors / d to three digits, how many are below those of the released model, and how clearly."""
    section, column, above, by, near = SUITES[name]
    table = pd.read_csv(shipped_models()[name] / "evaluation.csv")
    table = table[table["predictor"] == "model"].set_index(["distribution", "position"])[["mean", "stderr"]] / 20
    ratios, close = {}, set()
    for law, cells in rows(SPEED, section).items():
        released, own = ([float(each.split("±")[0]) for each in cells[i].split(",")] for i in (0, column))
        for position, theirs, ours in zip((20, 40), released, own, strict=True):
            mean, stderr = table.loc[law, position]
            assert ours == pytest.approx(mean, rel=0.005)
            ratios[law, position] = ours / theirs
            close |= {(law, position)} if mean < theirs < mean + 2 * stderr else set()
    assert len(ratios) == 28
    assert {key: ratio for key, ratio in ratios.items() if ratio >= 1} == (
        {} if above is None else {above: pytest.approx(by, abs=0.01)}
    )
    assert close == near


def test_least_squares_is_below_the_released_model_where_the_default_recipe_is():
    table = pd.read_csv(shipped_models()["mesa-columns-d20-identity"] / "evaluation.csv")
    table = table[table["predictor"] == "least_squares"].set_index(["distribution", "position"])["mean"] / 20
    released = {
        (law, position): float(number)
        for law, cells in rows(SPEED, DEFAULT).items()
        for position, number in zip((20, 40), cells[0].split(","), strict=True)
    }
    assert [key for key, error in released.items() if table[key] >= error] == [SUITES["mesa-columns-d20-identity"][2]]
