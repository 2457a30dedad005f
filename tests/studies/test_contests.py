"""What studies of trained models on problems stand on: exact lines of layers, intervals over seeds, verdicts."""

import numpy as np
import pytest

from iclab.evaluation import error_curve
from iclab.predictors import DeltaRule, LeastSquares
from iclab.prompts import Gaussian, Linear, PromptDistribution
from iclab.studies.contests import board, contest, hold, over_seeds, with_dimension
from iclab.studies.lab import Lab
from iclab.studies.mixers.measure import Settings, exact_error
from iclab.studies.study import Verdict
from iclab.studies.trainings import TrainingSettings


@pytest.mark.parametrize(("layer", "learner"), [("delta rule", DeltaRule(1 / 7)), ("mesa", LeastSquares())])
def test_the_exact_line_of_a_layer_is_the_error_of_its_learner(layer, learner):
    law = PromptDistribution(Gaussian.isotropic(5), Linear())
    curve = error_curve(learner, law, 5, n_prompts=20_000, seed=0)
    exact = [exact_error(layer, i, Settings(dimension=5)) for i in range(5)]
    assert np.all(np.abs(curve.mean - exact) < 4 * curve.stderr)


def test_seeds_are_averaged_by_logarithms_and_one_seed_has_no_interval():
    number = over_seeds(np.array([1.0, 4.0]))
    assert number.value == pytest.approx(2)
    assert number.low * number.high == pytest.approx(number.value**2)
    assert hold({"one": over_seeds(np.array([3.0]))}, 1.0, above=True).verdict is Verdict.UNDECIDED


def test_verdicts_follow_the_side_of_the_line():
    near = over_seeds(np.array([0.9, 1.0, 1.1]))
    assert hold({"a": near}, 5.0, above=False).verdict is Verdict.CONFIRMED
    assert hold({"a": near}, 0.1, above=False).verdict is Verdict.REFUTED


def test_the_dimension_is_filled_in():
    assert with_dimension({"tasks": {"count": "d", "kind": "x"}, "noise": 0.3}, 4) == {
        "tasks": {"count": 4, "kind": "x"},
        "noise": 0.3,
    }


def test_a_contest_without_cases_has_its_columns(tmp_path):
    errors = contest({}, {}, TrainingSettings(), Lab(tmp_path, lambda *_: None))
    table = board(errors, {}, ("problem",))
    assert table.empty
    assert {"problem", "case", "predictor", "score", "score_low", "score_high"} <= set(table.columns)
