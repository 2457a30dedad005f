"""The study of robustness: recipes differ in their factor alone, and its questions follow from its tables."""

import re

import numpy as np
import pandas as pd
import pytest

from iclab.foundations import InvalidInputError
from iclab.studies.robustness.measure import STANDARD, Settings, board, effects, growth
from iclab.studies.robustness.questions import QUESTIONS
from iclab.studies.robustness.recipes import BASE, FACTORS, LONGER, configuration
from iclab.studies.study import Verdict, ask
from iclab.training.config import differences
from iclab.training.targets import posterior_mean

FACTOR, LAYERS, PRIOR = LONGER, "mesa", "prior: everything"
SETTINGS = Settings(factors=(BASE, FACTOR, LAYERS, PRIOR), judged=("half_subspace", "scale-y=2"))
ZERO = {STANDARD: 1.0, "half_subspace": 1.0, "scale-y=2": 4.0}


def tables(own, shifted, spread=1.02):
    """Tables of errors by recipe: ``own`` without a shift and ``shifted`` under each, times ±``spread`` by seed."""
    rows = [
        {
            "factor": factor,
            "group": FACTORS[factor].group,
            "training_seed": seed,
            "evaluation": name,
            "examples": 10,
            "error": (own if name == STANDARD else shifted)[factor] * spread ** (seed - 1) * zero,
            "zero": zero,
        }
        for factor in SETTINGS.factors
        for seed in SETTINGS.training_seeds
        for name, zero in ZERO.items()
    ]
    errors = pd.DataFrame(rows)
    made = {"board": board, "effects": effects, "growth": growth}
    return {"errors": errors, **{name: make(errors, SETTINGS) for name, make in made.items()}}


def verdicts(own, shifted, **more):
    found = ask(QUESTIONS, tables(*(dict(zip(SETTINGS.factors, each, strict=True)) for each in (own, shifted)), **more))
    return {name: answer.verdict for name, answer in found.items()}


def test_questions_follow_from_the_errors():
    brittle = verdicts((0.01, 0.002, 0.002, 0.015), (0.4, 0.3, 0.01, 0.01))
    assert brittle == dict.fromkeys(("brittle", "recipe", "layers", "longer", "prior", "price"), Verdict.CONFIRMED)
    sturdy = verdicts((0.01, 0.02, 0.02, 0.05), (0.01, 0.001, 0.02, 0.02))
    assert sturdy == dict.fromkeys(brittle, Verdict.REFUTED)


def test_seeds_that_disagree_decide_nothing():
    """The seeds of columns and a recipe's go the same way: their ratio is certain when the growth is not."""
    noisy = tables(dict.fromkeys(SETTINGS.factors, 0.01), dict.fromkeys(SETTINGS.factors, 0.02))
    noisy["growth"] = noisy["growth"].assign(growth_low=0.1, growth_high=10.0)
    assert ask(QUESTIONS, noisy)["brittle"].verdict is Verdict.UNDECIDED


def test_ratios_are_geometric_means_over_the_same_seeds():
    found = tables(
        {BASE: 0.01, FACTOR: 0.02, LAYERS: 0.01, PRIOR: 0.03},
        {BASE: 0.4, FACTOR: 0.1, LAYERS: 0.1, PRIOR: 0.04},
        spread=3.0,
    )
    row = found["effects"].set_index("factor").loc[FACTOR]
    # Every seed has the same ratio, however far the seeds lie apart.
    np.testing.assert_allclose(row[["own", "own_low", "own_high"]].astype(float), 2.0)
    np.testing.assert_allclose(row[["shifted", "shifted_low", "shifted_high"]].astype(float), 0.25)
    np.testing.assert_allclose(row[["gap", "gap_low", "gap_high"]].astype(float), 0.125)
    np.testing.assert_allclose(found["board"].set_index("factor").loc[BASE, [STANDARD, "scale-y=2"]], [0.01, 1.6])
    # Of what predicting zero costs: labels twice as large cost it four times as much.
    np.testing.assert_allclose(found["growth"].query("factor == @PRIOR")["growth"], 0.04 / 0.03)


# What each word of a recipe's name may change.
FIELDS = {
    "adam": {"optimizer"},
    "labels": {"targets"},
    "softmax": {"model", "curriculum"},
    "mesa": {"model"},
    "norms": {"model"},
    "gpt2": {"model", "curriculum", "steps", "schedule"},
    "prior": {"prompts"},
    "dimensions": {"curriculum"},
    "rate": {"optimizer", "schedule"},
    "decay": {"optimizer"},
    "steps": {"steps", "schedule"},
    "batch": {"batch_size"},
    "layers": {"model"},
    "width": {"model"},
    "tokens": {"model"},
}


@pytest.mark.parametrize("factor", [name for name in FACTORS if name != BASE])
def test_a_recipe_differs_in_its_factor_alone(factor):
    base, other = (configuration(name, 4, 300, 1).as_dict() for name in (BASE, factor))
    changed = {key.split(".")[0] for key in differences(base, other) if not key.endswith("_every")}
    allowed = set().union(*(FIELDS.get(word, set()) for word in re.findall(r"\w+", factor)))
    assert changed
    assert changed <= allowed


@pytest.mark.parametrize("factor", [name for name in FACTORS if name.startswith("prior")])
def test_least_squares_stays_the_best_answer_under_every_prior(factor):
    config = configuration(factor, 4, 300, 1)
    law = config.prompts.build()
    prompts = law.sample(400, 9, seed=3)
    np.testing.assert_allclose(posterior_mean(law)(prompts)[:, 4:], prompts.targets[:, 4:], rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"factors": ("adam",)}, "must hold 'columns'"), ({"judged": ("quadrants",)}, "evaluation")],
)
def test_settings_are_checked(changes, reason):
    with pytest.raises(InvalidInputError, match=reason):
        Settings(**changes)
