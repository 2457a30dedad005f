"""Verdicts on what trained models do inside, of known tables."""

import numpy as np
import pandas as pd
import pytest

from iclab.studies.layers import questions
from iclab.studies.study import Verdict

ASK = {question.name: question.ask for question in questions.QUESTIONS}


def _answers(squares, ridge, stderr=0.001):
    named = {"least_squares": (np.nan, squares), "ridge": (0.1, ridge)}
    rows = [
        {"model": model, "algorithm": name, "setting": setting, "distance": distance}
        for model in ("a", "b")
        for name, (setting, distance) in named.items()
    ]
    return {"answers": pd.DataFrame(rows).assign(stderr=stderr, nearest=True)}


@pytest.mark.parametrize(
    ("squares", "ridge", "mimics", "is_nearest"),
    [
        (0.02, 0.03, Verdict.CONFIRMED, Verdict.CONFIRMED),
        (0.02, 0.005, Verdict.CONFIRMED, Verdict.REFUTED),
        (0.3, 0.4, Verdict.REFUTED, Verdict.CONFIRMED),
        (0.05, 0.049, Verdict.UNDECIDED, Verdict.CONFIRMED),
    ],
)
def test_to_be_near_to_least_squares_is_not_to_be_nearest_to_it(squares, ridge, mimics, is_nearest):
    tables = _answers(squares, ridge)
    assert ASK["least_squares"](tables).verdict is mimics
    assert ASK["nearest"](tables).verdict is is_nearest


@pytest.mark.parametrize(("steps", "verdict"), [((3, 6, 9, 12), Verdict.CONFIRMED), ((1, 1, 1, 9), Verdict.REFUTED)])
def test_steps_of_newton_grow_linearly_or_do_not(steps, verdict):
    rows = {"model": "a", "block": range(5), "algorithm": "newton", "setting": (1, *steps), "nearest": True}
    answer = ASK["newton"]({"readouts": pd.DataFrame(rows)})
    assert answer.verdict is verdict
    assert answer.numbers["steps per block, a"] == pytest.approx(np.polyfit(range(4), steps, 1)[0])
