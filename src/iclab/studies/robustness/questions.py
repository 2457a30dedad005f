"""What the study of robustness asks of its tables."""

from __future__ import annotations

from iclab.studies.folder import questions_of
from iclab.studies.robustness.recipes import DEFAULT, LONGER, PRIOR, RECIPE, SIZE
from iclab.studies.study import Answer, Tables, cases, where

# An error counts as lowered or raised where it changes by this factor.
FACTOR = 2.0
# What a wider prior may cost on Λ = I.
PRICE = 2.0


def brittle(tables: Tables) -> Answer:
    """Whether every judged shift multiplies the default's error, as a share of the zero predictor's."""
    rows = tables["growth"]
    return cases(where(rows, factor=DEFAULT), "growth", FACTOR)


def recipe(tables: Tables) -> Answer:
    """Whether no change of recipe or size halves the errors under shifts."""
    rows = tables["effects"]
    return cases(where(rows, group=[RECIPE, SIZE]), "shifted", 1 / FACTOR)


def longer(tables: Tables) -> Answer:
    """Whether longer training gains less under shifts than without one."""
    rows = tables["effects"]
    return cases(where(rows, factor=LONGER), "gap", 1.0)


def prior(tables: Tables) -> Answer:
    """Whether every wider prior halves the errors under shifts."""
    rows = tables["effects"]
    return cases(where(rows, group=PRIOR), "shifted", 1 / FACTOR, above=False)


def price(tables: Tables) -> Answer:
    """Whether a wider prior leaves the error on Λ = I within a factor."""
    rows = tables["effects"]
    return cases(where(rows, group=PRIOR), "own", PRICE, above=False)


QUESTIONS = questions_of(
    globals(),
    {
        "brittle": (brittle, {"threshold": FACTOR}),
        "recipe": (recipe, {"threshold": 1 / FACTOR}),
        "prior": (prior, {"threshold": 1 / FACTOR}),
        "price": (price, {"threshold": PRICE}),
    },
)
