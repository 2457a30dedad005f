"""What every mixer must do with every kind of label: train, look at nothing ahead, and come back from its folder."""

import numpy as np
import pytest

from iclab.models import load
from iclab.models.mixers import MIXERS
from iclab.training import read_config, train
from iclab.training.causality import check_causal

D, N, K = 3, 5, 4
GAUSSIAN = {"kind": "gaussian", "dimension": D}
PROBLEMS = {
    "numbers": ({"covariates": GAUSSIAN}, {"dimension": D}),
    "variances": ({"covariates": GAUSSIAN, "noise": 0.5}, {"dimension": D, "head": "mean_variance"}),
    "vectors": (
        {"covariates": GAUSSIAN, "tasks": {"kind": "vector_linear", "outputs": K}},
        {"dimension": D, "outputs": K},
    ),
    "classes": (
        {"covariates": {"kind": "categories", "count": D}, "tasks": {"kind": "lookup", "n_classes": K}},
        {"dimension": D, "head": "classes", "outputs": K},
    ),
    "symbols": ({"kind": "markov_chains", "n_symbols": K}, {"dimension": 0, "head": "classes", "outputs": K}),
}


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("mixer", MIXERS)
def test_every_mixer_learns_every_kind_of_label(mixer, problem, tmp_path):
    prompts, head = PROBLEMS[problem]
    model = {"max_points": N + 1, "width": 8, "heads": 2, "layers": 1, "mixers": [mixer], **head}
    config = read_config(
        {
            "prompts": prompts,
            "model": model,
            "n_train": N,
            "steps": 1,
            "batch_size": 2,
            "n_evaluation": 2,
            "log_every": 1,
        }
    )
    check_causal(config)
    run = train(config, tmp_path / "run")
    (line,) = [line for line in run.metrics if "loss" in line]
    assert np.isfinite(line["loss"])
    drawn = config.prompts.build().sample(3, N, seed=1)
    said = run.predictor()(drawn)
    assert said.shape == (3, N, *drawn.labels.answer_shape)
    run.export(tmp_path / "model")
    np.testing.assert_array_equal(load(tmp_path / "model")(drawn), said)
