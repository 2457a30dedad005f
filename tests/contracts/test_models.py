"""What every mixer must do with every kind of label: train, look at nothing ahead, and come back from its folder."""

import numpy as np
import pytest

from iclab.evaluation import compare, error_curve
from iclab.models import load
from iclab.models.mixers import MIXERS
from iclab.predictors import rivals
from iclab.prompts.labels import labels_of
from iclab.prompts.problem_specifications import PROBLEMS as LAWS
from iclab.prompts.problem_specifications import read_problem
from iclab.prompts.task_specifications import TASKS
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


def by_default(i, j):
    """Numbers and one other kind of labels for every mixer, and all kinds among the mixers; the rest is slow."""
    return () if j == 0 or j == 1 + i % (len(PROBLEMS) - 1) else pytest.mark.slow


@pytest.mark.parametrize(
    ("mixer", "problem"),
    [
        pytest.param(mixer, problem, marks=by_default(i, j))
        for i, mixer in enumerate(MIXERS)
        for j, problem in enumerate(PROBLEMS)
    ],
)
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


HYPERCUBE = {"kind": "hypercube", "dimension": D}
LINEAR = {"kind": "linear"}
# Of every kind of task its own settings, and the inputs where they are not Gaussian.
TASKS_OF_A_KIND = {
    "linear": {},
    "fixed_linear": {"weight_vector": [1.0, 0.0, -1.0]},
    "sparse_linear": {"nonzeros": 2},
    "finite_pool": {"n_tasks": 2, "dimension": D},
    "linear_plus_quadratic": {
        "weight_vector": [1.0, 0.0, 0.0],
        "direction": [0.0, 1.0, 1.0],
        "coefficient": 0.5,
        "covariance": np.eye(D).tolist(),
    },
    "cubic": {"direction": [0.5, 0.5, 0.0], "coefficient": 0.4},
    "low_rank": {"rows": D, "columns": 1},
    "centred_linear": {"centre": [1.0, 0.0, 0.0]},
    "vector_linear": {"outputs": 2},
    "lookup": {"n_classes": K},
    "scaled": {"tasks": LINEAR, "factor": 2.0},
    "binary": {"tasks": LINEAR, "link": "logistic"},
    "task_mixture": {"members": [LINEAR, {"kind": "quadratic"}]},
}
BOOLEAN = ("conjunction", "disjunction", "majority", "parity", "sparse_parity")
LAWS_OF_A_KIND = {
    "markov_chains": {"n_symbols": 3},
    "markov_pool": {"n_chains": 2, "n_symbols": 3},
    "gaussian_mixture": {"dimension": D, "radius": 1.0},
    "linear_dynamics": {"size": 2},
    "bursty_classes": {"dimension": D, "n_classes": 12, "n_labels": 3, "n_pairs": N},
}
KINDS = [*vars(TASKS), "scaled", "binary", "task_mixture", *vars(LAWS)]


def law_of(kind):
    """A configuration of prompts of one kind."""
    if kind in vars(LAWS):
        return {"kind": kind, **LAWS_OF_A_KIND.get(kind, {})}
    covariates = {"kind": "categories", "count": D} if kind == "lookup" else HYPERCUBE if kind in BOOLEAN else GAUSSIAN
    return {"covariates": covariates, "tasks": {"kind": kind, **TASKS_OF_A_KIND.get(kind, {})}}


@pytest.mark.parametrize("kind", KINDS)
def test_every_problem_of_a_configuration_is_trained_and_judged(kind, tmp_path):
    law = read_problem(law_of(kind))
    labels = labels_of(law)
    head = {"head": "classes" if labels.kind == "class" else "mean", "outputs": labels.size}
    model = {"dimension": law.dimension, "max_points": N + 1, "width": 8, "heads": 1, "layers": 1, **head}
    sizes = {"n_train": N, "steps": 1, "batch_size": 2, "n_evaluation": 2}
    run = train(read_config({"prompts": law_of(kind), "model": model, **sizes}), tmp_path / "run")
    curve = error_curve(run.predictor(), law, N, n_prompts=4, seed=0)
    assert np.isfinite(curve.mean).all()
    others = rivals(law, N)
    assert np.isfinite(compare(others, {"law": law}, N, n_prompts=4, seed=0)["mean"]).all()
