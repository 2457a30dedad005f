"""Labels that are classes or have a variance train like any other: losses, resuming, cards, what is refused."""

import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from iclab.foundations import InvalidInputError
from iclab.models import TransformerPredictor, load
from iclab.predictors import NGramBayes
from iclab.prompts import MarkovChains
from iclab.training import Run, read_config, train
from iclab.training.card import judge
from iclab.training.drawing import draw_losses
from iclab.training.losses import LOSSES

SHAPE = {"max_points": 12, "width": 8, "layers": 1, "heads": 1}
COMMON = {"n_train": 10, "steps": 12, "batch_size": 8, "n_evaluation": 16, "evaluate_every": 6, "checkpoint_every": 3}
CONFIGS = {
    "symbols": {
        "prompts": {"kind": "markov_chains", "n_symbols": 3},
        "model": {**SHAPE, "dimension": 0, "head": "classes", "outputs": 3},
    },
    "variance": {
        "prompts": {"covariates": {"kind": "gaussian", "dimension": 3}, "noise": 0.5},
        "model": {**SHAPE, "dimension": 3, "head": "mean_variance"},
    },
    "mamba2": {
        "prompts": {"covariates": {"kind": "gaussian", "dimension": 3}},
        "model": {**SHAPE, "dimension": 3, "mixers": ["mamba2"]},
    },
}
EVERY = pytest.mark.parametrize("name", CONFIGS)


def config_of(name, **changes):
    return read_config({**CONFIGS[name], **COMMON, "log_every": 3, **changes})


def weights(run):
    return load_file(run.directory / "checkpoints" / str(run.step) / "model.safetensors")


@EVERY
def test_a_training_that_was_stopped_ends_with_the_same_weights(name, tmp_path):
    config = config_of(name)
    whole = train(config, tmp_path / "whole")
    train(config, tmp_path / "stopped", until=lambda line: line["step"] == 6)
    again = train(config, tmp_path / "stopped")
    assert again.finished
    for key, value in weights(whole).items():
        assert torch.equal(value, weights(again)[key]), key


@EVERY
def test_a_run_tells_judges_draws_and_exports(name, tmp_path):
    run = train(config_of(name), tmp_path / "run")
    last = run.evaluations()
    assert np.isfinite(last.to_numpy()).all()
    table = judge(run.predictor(), run.config, "garg", n_prompts=64)
    assert (table["predictor"] == "model").any()
    draw_losses(run, tmp_path / "losses.svg")
    run.export(tmp_path / "model", table)
    run.export(tmp_path / "other")
    held_out = run.config.prompts.build().sample(4, 9, seed=5)
    np.testing.assert_array_equal(load(tmp_path / "model")(held_out), run.predictor()(held_out))


def test_logged_losses_are_the_models_cross_entropies(tmp_path):
    """At a rate that moves nothing, the logged loss is the score of the untrained model on the same prompts."""
    config = config_of("symbols", steps=1, log_every=1, optimizer={"kind": "sgd", "learning_rate": 1e-30})
    run = train(config, tmp_path / "run")
    (line,) = [line for line in run.metrics if "loss" in line]
    prompts = MarkovChains(3).sample(8, 11, seed=0, stream="training")
    said = TransformerPredictor(run.predictor().model)(prompts)
    chosen = np.take_along_axis(said, prompts.ys[..., None], axis=2)
    assert line["loss"] == pytest.approx(-np.log(chosen).mean(), rel=1e-5)
    assert line["zero"] == pytest.approx(math.log(3), rel=1e-6)


def test_the_reference_of_classes_is_their_entropy(tmp_path):
    run = train(config_of("symbols"), tmp_path / "run")
    prompts = MarkovChains(3).sample(16, 11, seed=0)
    entropy = -(prompts.probabilities * np.log(prompts.probabilities)).sum(-1).mean(0)
    rows = run.evaluations()
    np.testing.assert_allclose(rows[rows["step"] == 12]["true_law"], entropy, rtol=1e-12)
    assert NGramBayes(1)(prompts).shape == (16, 11, 3)


def test_losses_are_the_likelihoods_of_torchs_distributions():
    generator = torch.Generator().manual_seed(0)
    said = torch.randn(4, 5, 2, generator=generator, dtype=torch.float64)
    targets = torch.randn(4, 5, generator=generator, dtype=torch.float64)
    mean, log_variance = said.unbind(-1)
    likelihood = torch.distributions.Normal(mean, (log_variance / 2).exp()).log_prob(targets)
    torch.testing.assert_close(LOSSES["mean_variance"].of(said, targets), -likelihood - math.log(2 * math.pi) / 2)
    logits = torch.randn(4, 5, 3, generator=generator, dtype=torch.float64)
    classes = torch.randint(3, (4, 5), generator=generator)
    expected = -torch.distributions.Categorical(logits=logits).log_prob(classes)
    torch.testing.assert_close(LOSSES["classes"].of(logits, classes), expected)
    indicators = torch.nn.functional.one_hot(classes, 3).double()
    torch.testing.assert_close(LOSSES["classes"].of(logits, indicators), expected)


def test_variances_are_learned(tmp_path):
    """Labels of noise alone: the likelihood is best at their mean 0 and variance."""
    tasks = {"kind": "linear", "weight_covariance": (1e-12 * np.eye(3)).tolist()}
    prompts = {**CONFIGS["variance"]["prompts"], "tasks": tasks}
    optimizer = {"kind": "adam", "learning_rate": 1e-2}
    config = config_of("variance", steps=400, optimizer=optimizer, prompts=prompts)
    run = train(config, tmp_path / "run")
    variances = run.predictor().variances(config.prompts.build().sample(64, 11, seed=9))
    assert variances.mean() == pytest.approx(0.25, rel=0.05)


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("symbols", {"model": {**CONFIGS["symbols"]["model"], "outputs": 4}}, "head must fit the labels"),
        ("symbols", {"model": {**SHAPE, "dimension": 0, "outputs": 3}}, "'classes' and model.outputs 3"),
        (
            "variance",
            {"model": {**SHAPE, "dimension": 3, "head": "classes", "outputs": 2}},
            "'mean' and model.outputs 1",
        ),
        ("symbols", {"targets": "posterior_mean"}, "use 'labels'"),
        ("variance", {"targets": "posterior_mean"}, "use 'labels'"),
        ("symbols", {"per_dimension": True}, "per_dimension must be false"),
        ("symbols", {"curriculum": {"dimensions": {"start": 1, "end": 2}}}, "leave it out"),
        ("symbols", {"model": {**CONFIGS["symbols"]["model"], "dimension": 2}}, "same dimension"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(name, changes, said):
    with pytest.raises(InvalidInputError, match=said) as caught:
        config_of(name, **changes)
    assert "\n" not in str(caught.value)


def test_opening_a_run_finds_the_same_configuration(tmp_path):
    config = config_of("symbols")
    opened = Run.open(train(config, tmp_path / "run").directory).config
    assert opened.as_dict()["prompts"] == config.as_dict()["prompts"]
