"""What the study of robustness asks of its tables."""

from __future__ import annotations

from iclab.studies.robustness.recipes import DEFAULT, LONGER, PRIOR, RECIPE, SIZE
from iclab.studies.study import Answer, Question, Tables, cases

# An error counts as lowered or raised where it changes by this factor.
FACTOR = 2.0
# What a wider prior may cost on Λ = I.
PRICE = 2.0


def brittle(tables: Tables) -> Answer:
    """Whether every judged shift multiplies the default's error, as a share of the zero predictor's."""
    rows = tables["growth"]
    return cases(rows[rows["factor"] == DEFAULT], "growth", FACTOR)


def recipe(tables: Tables) -> Answer:
    """Whether no change of recipe or size halves the errors under shifts."""
    rows = tables["effects"]
    return cases(rows[rows["group"].isin([RECIPE, SIZE])], "shifted", 1 / FACTOR)


def longer(tables: Tables) -> Answer:
    """Whether longer training gains less under shifts than without one."""
    rows = tables["effects"]
    return cases(rows[rows["factor"] == LONGER], "gap", 1.0)


def prior(tables: Tables) -> Answer:
    """Whether every wider prior halves the errors under shifts."""
    rows = tables["effects"]
    return cases(rows[rows["group"] == PRIOR], "shifted", 1 / FACTOR, above=False)


def price(tables: Tables) -> Answer:
    """Whether a wider prior leaves the error on Λ = I within a factor."""
    rows = tables["effects"]
    return cases(rows[rows["group"] == PRIOR], "own", PRICE, above=False)


QUESTIONS = (
    Question(
        "brittle",
        "Every judged shift multiplies the error of the default recipe, as a share of that of predicting zero.",
        "Ratio to the share without a shift above the threshold, by its interval over seeds.",
        brittle,
        thresholds={"threshold": FACTOR},
    ),
    Question(
        "recipe",
        "No other optimiser, target, order of data, architecture or size halves the errors under shifts.",
        "Their geometric mean over that of the default is above the threshold, by its interval over seeds.",
        recipe,
        lead=True,
        thresholds={"threshold": 1 / FACTOR},
    ),
    Question(
        "longer",
        "Longer training lowers the errors under shifts less than the error without one.",
        "With three times the steps their ratio grows: above 1 by its interval over seeds.",
        longer,
        lead=True,
    ),
    Question(
        "prior",
        "Every wider law of training prompts halves the errors under shifts.",
        "Their geometric mean over that of the default is below the threshold, by its interval over seeds.",
        prior,
        lead=True,
        thresholds={"threshold": 1 / FACTOR},
    ),
    Question(
        "price",
        "A wider law of training prompts at most doubles the error without a shift.",
        "Error on Λ = I over that of the default below the threshold, by its interval over seeds.",
        price,
        thresholds={"threshold": PRICE},
    ),
)
