"""A prompt whose labels can be dragged, and what each learner then predicts for its query."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from iclab.explore.panels import execute
from iclab.foundations import InvalidInputError, check_choice, check_integer
from iclab.predictors.registry import shipped_models

_LEARNERS = """\
from iclab.models import load
from iclab.predictors import Averaging, LeastSquares, NearestNeighbors, Ridge
learners = {{
    {model!r}: load({model!r}),
    "least squares": LeastSquares(),
    "ridge, penalty 1": Ridge(1.0),
    "averaging": Averaging(),
    "3 nearest neighbours": NearestNeighbors(3),
}}
"""

_ANSWERS = """\
import numpy as np
from iclab.prompts import Gaussian, Linear, PromptDistribution, Prompts
drawn = PromptDistribution(Gaussian(np.eye(20)), Linear()).sample(1, {n} + 1, seed={seed})
labels = drawn.ys.copy()
for example, label in {changes}.items():
    labels[0, example] = label
prompts = Prompts(drawn.xs, labels, drawn.queries, drawn.targets)
truth = drawn.targets[0, {n}]
answers = {{name: learner(prompts)[0, {n}] for name, learner in learners.items()}}
"""


def lines(model: str, n: int, seed: int, changes: Mapping[int, float]) -> tuple[str, str]:
    """Code that makes the learners, and code that asks them.

    Parameters
    ----------
    model : str
        A model that ships with the package.
    n : int
        Examples in the context, 1 to 40.
    seed : int
        Seed of the prompt.
    changes : mapping of int to float
        New labels of some examples.

    Raises
    ------
    InvalidInputError
        If there is no such model, or a number is out of range.
    """
    check_choice(model, "model", tuple(shipped_models()))
    if check_integer(n, "n", minimum=1) > 40:
        raise InvalidInputError(f"n must be at most 40, the models' number of examples in training; {n} was given.")
    kept = {int(example): round(float(label), 3) for example, label in sorted(changes.items()) if int(example) < n}
    return _LEARNERS.format(model=model), _ANSWERS.format(n=n, seed=int(seed), changes=kept)


_made = lru_cache(maxsize=2)(execute)


def ask(model: str, n: int, seed: int, changes: Mapping[int, float]) -> dict[str, Any]:
    """Labels of the context, true value at the query, and the answer of each learner."""
    learners, answers = lines(model, n, seed, changes)
    return execute(answers, _made(learners))
