"""Configurations: read, refused, and the recipes they name."""

from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest

from iclab.foundations import InvalidInputError
from iclab.models import shipped_models
from iclab.predictors import LeastSquares
from iclab.prompts import Gaussian
from iclab.training import PRESETS, Curriculum, Ramp, Schedule, posterior_mean, preset, read_config, train
from iclab.training.config import differences

TINY = """\
prompts:
  covariates: {kind: gaussian, dimension: 3}
model: {dimension: 3, max_points: 7, width: 8}
n_train: 6
steps: 1e3
"""


def write(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return path


def test_a_file_becomes_a_configuration_and_back(tmp_path):
    config = read_config(write(tmp_path, TINY), {"optimizer.kind": "adamw", "seed": 5})
    assert (config.steps, config.n_points, config.optimizer.kind, config.seed) == (1000, 7, "adamw", 5)
    assert read_config(config.as_dict()) == config


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (TINY + "step: 5\n", "Did you mean 'steps'"),
        (TINY + "optimizer: {learning_rat: 1}\n", "Did you mean 'learning_rate'"),
        (TINY + "steps: 5\n", "'steps' is given twice"),
        (TINY.replace("gaussian", "gausian"), "Did you mean 'gaussian'"),
        (TINY.replace("1e3", "0"), "steps is not as it must be"),
        (TINY.replace("1e3", "1.5"), "steps is not as it must be"),
        (TINY.replace("n_train: 6\n", ""), "must have the key 'n_train'"),
        (TINY.replace("max_points: 7", "max_points: 6"), "at least n_train \\+ 1 = 7; 6 was given"),
        (TINY.replace("model: {dimension: 3", "model: {dimension: 4"), "same dimension; 3 and 4 were given"),
        (TINY + "targets: posterior\n", "targets is not as it must be"),
        (TINY + "optimizer: {learning_rate: .nan}\n", "learning_rate is not as it must be"),
        ("- 1\n", "must hold a YAML mapping"),
        ("a: [1\n", "readable YAML"),
        ("preset: tinny\n", "Did you mean 'tiny'"),
        ("preset: tiny\nstep: 5\n", "Did you mean 'steps'"),
        ("preset: tiny\nloss: query\n", "Did you mean 'loss_at'"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(tmp_path, text, sentence):
    with pytest.raises(InvalidInputError, match=sentence) as caught:
        read_config(write(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InvalidInputError, match="no such file"):
        read_config(tmp_path / "none.yaml")


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("covariates", ["identity", "random-exponential"])
def test_every_preset_is_a_whole_configuration(name, covariates):
    config = preset(name, dimension=5, n_train=18, covariates=covariates, seed=3)
    assert (config.n_points, config.model.dimension, config.seed) == (19, 5, 3)
    assert config.model.max_points >= 26
    final = config.curriculum.at(config.steps - 1, 5, config.n_points)
    assert final == (5, 19)
    assert config.curriculum.last_change < 0.6 * config.steps
    assert read_config(config.as_dict()) == config
    assert preset(name, steps=40).steps == 40


def test_covariates_may_be_objects():
    given = Gaussian([[2.0, 0.5], [0.5, 1.0]])
    config = preset("tiny", dimension=2, covariates=given)
    np.testing.assert_array_equal(config.prompts.build().covariates.covariance, given.covariance)
    assert preset("tiny", dimension=2, covariates=config.prompts.covariates) == config


def test_a_law_of_ones_own_replaces_the_presets(tmp_path):
    """However it is given, and with the dimension of the preset or none."""
    matrix = [[1.0, 0.5], [0.5, 1.0]]
    law = f"{{kind: gaussian, matrix: {matrix}}}"
    nested = write(tmp_path, f"preset: tiny\ndimension: 2\nn_train: 4\nprompts:\n  covariates: {law}\n")
    base = {"preset": "tiny", "n_train": 4}
    expected = preset("tiny", n_train=4, covariates=np.array(matrix))
    np.testing.assert_array_equal(expected.prompts.build().covariates.covariance, matrix)
    for config in (
        read_config(nested),
        read_config({**base, "covariates": matrix}),
        read_config(base | {"dimension": 2}, {"prompts.covariates": {"kind": "gaussian", "matrix": matrix}}),
        read_config(base | {"dimension": 2}, {"prompts.covariates.matrix": matrix}),
        read_config(preset("tiny", dimension=2, n_train=4).as_dict(), {"prompts.covariates.matrix": matrix}),
    ):
        assert config == expected
    spectrum = read_config(nested, {"prompts.covariates.spectrum": [1.0, 2.0]})
    np.testing.assert_array_equal(spectrum.prompts.build().covariates.covariance, np.diag([1.0, 2.0]))


@pytest.mark.parametrize(
    ("covariates", "sentence"), [(np.ones(2), "shape"), (7, "covariance matrix"), ("i", "identity")]
)
def test_a_law_that_is_none_is_refused(covariates, sentence):
    with pytest.raises(InvalidInputError, match=sentence):
        preset("tiny", covariates=covariates)


def test_only_a_configuration_can_be_trained(tmp_path):
    with pytest.raises(InvalidInputError, match="preset or read_config"):
        train("tiny", tmp_path)


@pytest.mark.parametrize("field", ["optimizer.learning_rate", "optimizer.clip", "optimizer.weight_decay"])
def test_numbers_are_finite(field):
    with pytest.raises(InvalidInputError, match="finite"):
        read_config({"preset": "tiny"}, {field: float("inf")})


def test_the_2022_recipe_is_the_published_one():
    config = preset("garg-linear", dimension=20, n_train=40)
    assert (config.model.width, config.model.layers, config.model.heads, config.model.max_points) == (256, 12, 8, 101)
    assert (config.steps, config.batch_size, config.targets, config.loss_at) == (500_001, 64, "labels", "all_positions")
    assert (config.optimizer.kind, config.optimizer.learning_rate, config.optimizer.betas) == (
        "adam",
        1e-4,
        (0.9, 0.999),
    )
    assert config.optimizer.clip is None
    assert config.optimizer.weight_decay == 0
    assert not config.per_dimension
    assert [config.schedule.at(step, config.steps) for step in (0, 250_000, 500_000)] == [1, 1, 1]
    stages = [config.curriculum.at(step, 20, 41) for step in (0, 1999, 2000, 30_000, 500_000)]
    assert stages == [(5, 11), (5, 11), (6, 13), (20, 41), (20, 41)]
    # "For 71 points it ends at step 60k, for 101 at 90k."
    assert preset("garg-linear", dimension=20, n_train=70).curriculum.last_change == 60_000
    assert preset("garg-linear", dimension=20, n_train=100).curriculum.last_change == 90_000


@pytest.mark.parametrize("name", ["columns", "fast"])
@pytest.mark.parametrize("n_train", [60, 70, 100])
def test_longer_prompts_are_as_many_examples(name, n_train):
    short, long = (preset(name, dimension=20, n_train=n) for n in (40, n_train))
    assert long.steps * n_train == pytest.approx(short.steps * 40, rel=1e-3)
    assert preset(name, dimension=20, n_train=n_train, steps=9).steps == 9


@pytest.mark.parametrize("dimension", [1, 5, 20, 32, 33, 100])
def test_a_key_of_fast_holds_the_whole_input(dimension):
    model = preset("fast", dimension=dimension).model
    assert model.width // model.heads >= max(32, 1.5 * dimension)
    assert set(model.kinds) == {"mesa"}


def test_mixers_replace_the_attention_of_a_preset():
    columns, mesa = preset("columns"), preset("columns", model={"mixers": ["mesa"]})
    assert mesa.with_(model=replace(mesa.model, mixers=(), attention="linear")) == columns
    for name, model in product(("fast", "robust"), ({}, {"mixers": ["mesa"]})):
        for attention in ("linear", "softmax"):  # softmax is what nothing said would be
            with pytest.raises(InvalidInputError, match="mixers or attention, not both"):
                preset(name, model={**model, "attention": attention})
    with pytest.raises(InvalidInputError, match="mixers or attention, not both"):
        preset("columns", model={"mixers": ["mesa"], "attention": "softmax"})
    assert preset("fast", model={"mixers": ["softmax"]}).model.kinds == ("softmax", "softmax")


def test_robust_is_fast_but_for_noise_in_some_prompts():
    config, fast = (preset(name, dimension=3, n_train=6, steps=300) for name in ("robust", "fast"))
    assert config.with_(prompts=fast.prompts, optimizer=fast.optimizer) == fast
    assert config.prompts.outliers is not None
    law = config.prompts.build()
    prompts = law.sample(400, 7, seed=0)
    exact = LeastSquares()(prompts)
    noisy = np.abs(exact - prompts.targets)[:, 4:].max(1) > 1e-6
    assert 0 < noisy.sum() < 40
    np.testing.assert_allclose(posterior_mean(law)(prompts)[~noisy], exact[~noisy], atol=1e-6)


@pytest.mark.parametrize(
    ("name", "covariates", "model"),
    [
        ("fast", "identity", "identity"),
        ("fast", "random-exponential", "random-exponential"),
        ("robust", "identity", "identity-noisy"),
    ],
)
def test_what_ships_with_mesa_layers_is_what_the_presets_train(name, covariates, model):
    """But for precision, which the machine decides."""
    config = preset(name, dimension=20, n_train=40, max_points=41, covariates=covariates)
    shipped = read_config(shipped_models()[f"mesa-columns-d20-{model}"] / "config.yaml")
    assert set(differences(config.as_dict(), shipped.as_dict())) <= {"precision", "optimizer.matrix_precision"}


def test_mixture_is_columns_on_laws_that_least_squares_is_best_for():
    config = preset("mixture", dimension=20, n_train=40, max_points=41)
    columns = preset("columns", dimension=20, n_train=40, max_points=41, steps=config.steps)
    assert config.with_(prompts=columns.prompts) == columns
    assert config.prompts == read_config(shipped_models()["linear-columns-d20-mixture"] / "config.yaml").prompts
    for dimension in (1, 3):
        problem = preset("mixture", dimension=dimension, covariates="random-exponential").prompts.build()
        prompts = problem.sample(64, 2 * dimension + 3, seed=0)
        np.testing.assert_allclose(posterior_mean(problem)(prompts), LeastSquares()(prompts), atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"name": "tiny", "covariates": "identiy"}, "Did you mean 'identity'"),
        ({"name": "tiny", "covariates": "exponential"}, "Did you mean 'random-exponential'"),
        ({"name": "tiny", "covariates": 3}, "covariates must be"),
        ({"name": "tiny", "n_train": 0}, "n_train must be at least 1"),
        ({"name": "tiny", "n_train": 30, "max_points": 20}, "max_points must be at least 31"),
        ({"name": "tiny", "batchsize": 3}, "Did you mean 'batch_size'"),
    ],
)
def test_presets_refuse_in_words(arguments, sentence):
    with pytest.raises(InvalidInputError, match=sentence):
        preset(arguments.pop("name"), **arguments)


def test_a_ramp_reaches_its_end_exactly():
    ramp = Ramp(start=2, end=9, increment=3, every=10)
    assert [ramp.at(step) for step in (0, 9, 10, 29, 30, 999)] == [2, 2, 5, 8, 9, 9]
    assert ramp.at(ramp.last_change) == 9 > ramp.at(ramp.last_change - 1)
    late = Ramp(start=2, end=9, increment=3, every=10, begin=100)
    assert [late.at(100 + step) for step in (-100, -1, 0, 9, 10, 29, 30)] == [2, 2, 2, 2, 5, 8, 9]
    assert late.at(late.last_change) == 9 > late.at(late.last_change - 1)
    assert Curriculum().at(0, 5, 11) == (5, 11)
    matched = Curriculum(dimensions=ramp, examples_per_dimension=2)
    assert [matched.at(step, 9, 40) for step in (0, 10, 30)] == [(2, 5), (5, 11), (9, 40)]
    with pytest.raises(ValueError, match="at least start"):
        Curriculum(dimensions=Ramp(start=3, end=2))
    falling = Ramp(start=0.5, end=0.0, increment=0.1, every=10)
    np.testing.assert_allclose([falling.at(step) for step in (0, 10, 25, 49, 50, 99)], [0.5, 0.4, 0.3, 0.1, 0, 0])
    assert falling.at(falling.last_change) == 0 < falling.at(falling.last_change - 1)


@pytest.mark.parametrize("shape", ["linear", "cosine"])
def test_the_rate_rises_stays_and_falls_to_nothing(shape):
    schedule = Schedule(warmup=10, decay=0.5, shape=shape)
    rates = [schedule.at(step, 100) for step in range(101)]
    assert all(a < b for a, b in pairwise(rates[:11]))
    assert rates[10:50] == [1] * 40
    assert all(a > b for a, b in pairwise(rates[50:]))
    assert rates[75] == pytest.approx(0.5)
    assert rates[100] == 0 < rates[99]


def test_columns_has_a_curriculum_of_dimensions_with_softmax_attention_only():
    """Prompts beyond 2d examples come later with either."""
    gpt2 = preset("columns", dimension=20, model={"attention": "softmax"}).curriculum
    assert gpt2.at(0, 20, 41) == (1, 3)
    assert gpt2 == preset("small", dimension=20, steps=6000).curriculum
    assert preset("columns", dimension=20).curriculum == Curriculum()
    longer = preset("columns", dimension=20, n_train=100).curriculum
    assert [longer.at(step, 20, 101) for step in (0, 2399)] == [(20, 41), (20, 101)]


def test_what_says_nothing_is_left_out_so_that_digests_stay():
    """Of outliers whose field ``whole`` earlier versions did not know."""
    each, whole = (
        preset("tiny", targets="labels", prompts={"outliers": {"probability": 0.3, "scale": 5.0, "whole": given}})
        for given in (False, True)
    )
    assert each.as_dict()["prompts"]["outliers"] == {"probability": 0.3, "scale": 5.0}
    assert read_config(each.as_dict()) == each
    assert read_config(whole.as_dict()) == whole != each
