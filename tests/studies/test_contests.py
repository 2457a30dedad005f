"""What studies of trained models on problems stand on: exact lines of layers, intervals over seeds, verdicts."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from iclab.evaluation import error_curve
from iclab.models import load
from iclab.predictors import DeltaRule, LeastSquares
from iclab.prompts import Gaussian, Linear, PromptDistribution
from iclab.studies.contests import board, contest, hold, over_seeds, with_dimension
from iclab.studies.function_classes import questions as function_classes
from iclab.studies.function_classes.learners import apart, readouts
from iclab.studies.lab import Lab
from iclab.studies.mixers import questions as mixers
from iclab.studies.mixers.measure import MODELS, Settings, changes, exact_error, learner_errors
from iclab.studies.study import Verdict
from iclab.studies.trainings import Trained, TrainingSettings
from iclab.training import preset, train


@pytest.mark.parametrize(("layer", "learner"), [("delta rule", DeltaRule(1 / 7)), ("mesa", LeastSquares())])
def test_the_exact_line_of_a_layer_is_the_error_of_its_learner(layer, learner):
    law = PromptDistribution(Gaussian.isotropic(5), Linear())
    curve = error_curve(learner, law, 5, n_prompts=20_000, seed=0)
    exact = [exact_error(layer, i, Settings(dimension=5)) for i in range(5)]
    assert np.all(np.abs(curve.mean - exact) < 4 * curve.stderr)


def test_learners_are_judged_on_the_prompts_of_the_layers():
    """Their errors are those of the same predictors by position, and at N + 1 positions from none on."""
    table = learner_errors(2, 3, 50, 7)
    law = PromptDistribution(Gaussian.isotropic(2), Linear())
    for layer, learner in {"delta rule": DeltaRule(1 / 4), "mesa": LeastSquares()}.items():
        rows = table[table["layer"] == layer]
        curve = error_curve(learner, law, 4, n_prompts=50, seed=7)
        np.testing.assert_allclose(rows["learner"], curve.mean, rtol=1e-12, atol=1e-20)


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


@pytest.mark.parametrize(("layer", "expected"), [("delta rule", (0.628, 0.394, 0.156)), ("mesa", (0.5, 0.0, 0.0))])
def test_exact_errors_after_10_20_and_40_examples_in_20_dimensions(layer, expected):
    found = [exact_error(layer, i, Settings(dimension=20)) / 20 for i in (10, 20, 40)]
    assert found == pytest.approx(expected, abs=5e-4)


def _scores(case, values, position=4):
    rows = {"case": case, "predictor": "model", "training_seed": range(len(values)), "position": position}
    return pd.DataFrame({**rows, "mean": values})


def test_a_profile_that_changes_sizes_leaves_every_case_its_mixers():
    settings = Settings(overrides={"model": {"width": 256, "layers": 12, "heads": 8}, "batch_size": 8})
    found = changes(settings)
    for case, change in found.items():
        config = preset("tiny", **change)
        problem, _, model = case.rpartition(": ")
        if problem:
            assert config.model.kinds == 12 // len(kinds := kinds_of(MODELS[model])) * kinds
            assert config.model.width == 256
        else:
            assert (config.model.width, config.model.layers) == (settings.dimension + 1, 1)
        assert config.batch_size == 8


def kinds_of(model):
    return tuple(model.get("mixers", [model.get("attention")]))


def test_mixers_are_compared_seed_by_seed():
    ask = {question.name: question.ask for question in mixers.QUESTIONS}
    tables = {"errors": pd.concat([_scores("outliers: mamba2", [1, 2, 4]), _scores("outliers: softmax", [2, 4, 8.1])])}
    assert ask["outliers"](tables).verdict is Verdict.CONFIRMED
    layers = pd.DataFrame({"layer": ["delta rule", "mesa"], "position": 4, "exact": [1.0, 0.0], "learner": [1.1, 0.0]})
    for value, verdict in ((0.5, Verdict.CONFIRMED), (2.0, Verdict.REFUTED)):
        errors = _scores("linear: delta", [value, 1.01 * value, 0.99 * value])
        answer = ask["deeper"]({"errors": errors, "layers": layers})
        assert (answer.verdict, answer.total) == (verdict, 1)


def test_models_of_one_class_are_one_algorithm_and_those_of_two_are_not():
    ask = {question.name: question.ask for question in function_classes.QUESTIONS}["apart"]
    rows = [
        ("trees", other, seed, distance * (1 + 0.01 * seed))
        for other, distance in (("trees", 0.1), ("networks", 0.4))
        for seed in range(3)
    ]
    table = pd.DataFrame(rows, columns=["class", "against", "training_seed", "distance"])
    answer = ask({"apart": table})
    assert answer.verdict is Verdict.CONFIRMED
    assert answer.numbers["networks on trees"].value == pytest.approx(4)
    assert ask({"apart": table[table["against"] == "trees"]}).verdict is Verdict.UNDECIDED


def test_answers_are_held_against_least_squares_and_ridge():
    ask = {question.name: question.ask for question in function_classes.QUESTIONS}["nearest"]
    named = {"least_squares": 0.5, "ridge": 0.4, "tree": 0.1, "lasso-0.1": 0.6}
    table = pd.DataFrame({"algorithm": list(named), "distance": list(named.values())}).assign(
        **{"class": "trees", "training_seed": 0, "read": "answer", "stderr": 0.01}
    )
    assert ask({"readouts": table}).verdict is Verdict.CONFIRMED
    assert ask({"readouts": table[table["algorithm"] != "tree"]}).verdict is Verdict.REFUTED
    # Each class and seed is a case of its own.
    both = pd.concat([table, table[table["algorithm"] != "tree"].assign(training_seed=1)], ignore_index=True)
    answer = ask({"readouts": both})
    assert (answer.verdict, answer.met, answer.missed) == (Verdict.IN_PART, 1, 1)


def test_whoever_is_opened_is_no_distance_from_itself(tmp_path):
    config = preset("tiny", dimension=2, n_train=4, max_points=5, steps=2, batch_size=8, n_evaluation=8)
    for seed in (0, 1):
        train(replace(config, seed=seed), tmp_path / str(seed))
    models = {str(s): Trained(tmp_path / str(s), config, str(s), "") for s in (0, 1)}
    table = apart("own", {"own": models, "same": {"2": models["0"], "3": models["1"]}}, 20, 0)
    own, same = (table[table["against"] == name].set_index("training_seed")["distance"] for name in ("own", "same"))
    assert own[0] == pytest.approx(own[1])
    assert same[0] == pytest.approx(own[0] / 2)
    found = readouts(models, ["least_squares", "ridge"], 20, 0)
    assert set(found["block"]) == set(range(5))
    assert (found["read"] == "answer").sum() == 4
    # The answers of a model, as they are.
    prompts = config.prompts.build().sample(20, 5, seed=0)
    said, exact = load(models["1"].path)(prompts)[:, -1], LeastSquares()(prompts)[:, -1]
    row = found[(found["training_seed"] == 1) & (found["read"] == "answer") & (found["algorithm"] == "least_squares")]
    expected = np.square(said - exact).mean() / np.square(prompts.targets[:, -1]).mean()
    assert row["distance"].item() == pytest.approx(expected)
