"""Specifications: plain data to distributions and back, and sentences that name the closest known word."""

import json
import pickle

import numpy as np
import pytest
from pydantic.dataclasses import dataclass

from iclab.foundations import InvalidInputError
from iclab.prompts.specification import PromptSpecification, build_law, plain, validated

GAUSSIAN = {"kind": "gaussian", "dimension": 4}
VALID = {
    "smallest": {"covariates": GAUSSIAN},
    "variance": {"covariates": {"kind": "gaussian", "dimension": 4, "variance": 2}},
    "spectrum": {"covariates": {"kind": "gaussian", "spectrum": [1, 2, 0, 3]}},
    "matrix": {"covariates": {"kind": "gaussian", "matrix": [[1, 0.5], [0.5, 2]]}},
    "exponential": {"covariates": {"kind": "random_diagonal", "dimension": 4, "scale": 4}},
    "gamma": {"covariates": {"kind": "random_diagonal", "dimension": 4, "law": {"name": "gamma", "a": 2}}},
    "laws": {"covariates": {"kind": "random_diagonal", "laws": [{"name": "expon"}, {"name": "uniform", "loc": 1}]}},
    "rotation": {"covariates": {"kind": "random_rotation", "spectrum": [1, 1, 0, 0]}},
    "mixture": {
        "covariates": {"kind": "covariance_mixture", "matrices": [np.eye(4).tolist(), (2 * np.eye(4)).tolist()]}
    },
    "wishart": {"covariates": {"kind": "wishart", "dimension": 4, "degrees": 6}},
    "student": {"covariates": {"kind": "student_t", "dimension": 4, "degrees": 3}},
    "uniform": {"covariates": {"kind": "uniform", "dimension": 4}},
    "autoregressive": {"covariates": {"kind": "autoregressive", "dimension": 4, "coefficient": 0.5}},
    "orthant": {"covariates": {"kind": "orthant", "dimension": 4}},
    "several": {
        "covariates": {
            "kind": "mixture",
            "members": [
                GAUSSIAN,
                {"kind": "random_scale", "covariates": {"kind": "rotated", "covariates": GAUSSIAN}, "largest": 2},
            ],
            "probabilities": [0.25, 0.75],
        }
    },
    "affine": {"covariates": {"kind": "affine", "covariates": GAUSSIAN, "scale": 2, "bias": [1, 0, 0, -1]}},
    **{
        kind: {"covariates": GAUSSIAN, "tasks": {"kind": kind, **more}}
        for kind, more in {
            "linear": {},
            "sparse_linear": {"nonzeros": 2},
            "finite_pool": {"n_tasks": 8, "dimension": 4},
            "quadratic": {},
            "relu_network": {"hidden": 5},
            "decision_tree": {"depth": 2},
            "linear_classification": {},
            "fixed_linear": {"weight_vector": [1, 0, 2, 0]},
            "linear_plus_quadratic": {
                "weight_vector": [1, 0, 2, 0],
                "direction": [0, 1, 0, 1],
                "coefficient": 0.5,
                "covariance": np.eye(4).tolist(),
            },
            "cubic": {"direction": [1, 0, 0, 0], "coefficient": 2},
            "sign_vectors": {},
            "random_scale_linear": {"largest": 2},
            "low_rank": {"rows": 2, "columns": 2},
            "centred_linear": {"centre": [3, 0, 0, -3]},
            "fourier_sums": {"frequencies": 2},
            "monomials": {"terms": 3},
            "vector_linear": {"outputs": 2},
            "binary": {"tasks": {"kind": "linear"}, "link": "logistic", "flips": 0.1},
            "scaled": {"tasks": {"kind": "quadratic"}, "factor": 2},
            "task_mixture": {
                "members": [{"kind": "linear"}, {"kind": "scaled", "tasks": {"kind": "sparse_linear"}, "factor": 3}],
                "probabilities": [0.25, 0.75],
            },
        }.items()
    },
    **{
        kind: {"covariates": {"kind": "hypercube", "dimension": 4}, "tasks": {"kind": kind, **more}}
        for kind, more in {
            "conjunction": {"probability": 0.3},
            "disjunction": {},
            "majority": {"size": 3},
            "parity": {},
            "sparse_parity": {"size": 2},
        }.items()
    },
    "lookup": {"covariates": {"kind": "categories", "count": 4}, "tasks": {"kind": "lookup", "n_classes": 3}},
    "everything": {
        "covariates": GAUSSIAN,
        "tasks": {"kind": "linear"},
        "noise": 1,
        "outliers": {"probability": 0.1, "scale": 5},
        "shift": "noisyLR+scale-x=2",
    },
}


@pytest.mark.parametrize("name", VALID)
def test_builds_samples_and_survives_json(name):
    specification = validated(PromptSpecification, VALID[name])
    prompts = specification.build().sample(3, 5, seed=0)
    assert np.isfinite(prompts.ys).all()
    again = validated(PromptSpecification, json.loads(json.dumps(plain(specification))))
    assert again == specification
    assert pickle.loads(pickle.dumps(specification)) == specification
    np.testing.assert_array_equal(again.build().sample(3, 5, seed=0).ys, prompts.ys)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({}, "must have the key 'covariates'"),
        ({"covariates": {"kind": "gausian"}}, "kind of covariates .* Did you mean 'gaussian'"),
        ({"covariates": {"dimension": 3}}, "must have a kind"),
        ({"covariates": {"kind": "gaussian", "dimensoin": 3}}, "'dimensoin' was given. Did you mean 'dimension'"),
        ({"covariates": {"kind": "gaussian"}}, "exactly one of dimension, spectrum and matrix; none was given"),
        ({"covariates": {"kind": "gaussian", "dimension": 2, "spectrum": [1]}}, "dimension and spectrum was given"),
        ({"covariates": {"kind": "gaussian", "dimension": -3}}, "covariates.gaussian.dimension"),
        ({"covariates": GAUSSIAN, "niose": 1}, "Did you mean 'noise'"),
        ({"covariates": GAUSSIAN, "noise": -1}, "noise is not as it must be"),
        ({"covariates": GAUSSIAN, "noise": float("nan")}, "noise is not as it must be"),
        ({"covariates": GAUSSIAN, "tasks": {"kind": "linaer"}}, "Did you mean 'linear'"),
        (
            {"covariates": GAUSSIAN, "tasks": {"kind": "task_mixture", "members": [{"kind": "qadratic"}]}},
            "kind of tasks.task_mixture.members.0 .* Did you mean 'quadratic'",
        ),
        (
            {
                "covariates": GAUSSIAN,
                "tasks": {"kind": "scaled", "factor": 2, "tasks": {"kind": "relu_network", "hid": 1}},
            },
            "'hid' was given. Did you mean 'hidden'",
        ),
        ({"covariates": GAUSSIAN, "tasks": {"kind": "task_mixture", "members": []}}, "at least one law of tasks"),
        ({"covariates": {"kind": "affine", "covariates": GAUSSIAN, "bias": [1, 2]}}, "bias must have shape"),
        ({"covariates": {"kind": "affine", "covariates": GAUSSIAN, "scale": 0}}, "scale must not be 0"),
        (
            {"covariates": GAUSSIAN, "tasks": {"kind": "fixed_linear", "weight_vector": [1, 2]}},
            "weight_vector must have the dimension 4 of the inputs; it has 2",
        ),
        ({"covariates": GAUSSIAN, "tasks": {"kind": "sparse_linear", "nonzeros": 9}}, "at most the dimension 4"),
        ({"covariates": GAUSSIAN, "tasks": {"kind": "majority", "size": 4}}, "size must be odd"),
        ({"covariates": GAUSSIAN, "tasks": {"kind": "lookup", "n_classes": 3}, "noise": 1}, "noise must be 0"),
        (
            {"covariates": GAUSSIAN, "tasks": {"kind": "binary", "tasks": {"kind": "vector_linear", "outputs": 2}}},
            "must have real labels to be made classes",
        ),
        (
            {
                "covariates": GAUSSIAN,
                "tasks": {"kind": "task_mixture", "members": [{"kind": "linear"}, {"kind": "lookup", "n_classes": 3}]},
            },
            "labels of one kind and size",
        ),
        ({"covariates": GAUSSIAN, "shift": "skwed"}, "Did you mean 'skewed'"),
        ({"covariates": {"kind": "random_diagonal"}}, "either dimension"),
        ({"covariates": {"kind": "random_diagonal", "dimension": 2, "law": {"name": "expo"}}}, "Did you mean 'expon'"),
        ({"covariates": {"kind": "random_diagonal", "dimension": 2, "law": {"name": "gamma"}}}, "numbers for a"),
        (
            {"covariates": {"kind": "random_diagonal", "dimension": 2, "law": {"name": "expon", "scal": 2}}},
            "Did you mean 'scale'",
        ),
        (
            {"covariates": {"kind": "random_diagonal", "dimension": 2, "law": {"name": "gamma", "a": -1}}},
            "within its range",
        ),
    ],
)
def test_one_sentence_names_the_place_and_the_closest_word(data, sentence):
    with pytest.raises(InvalidInputError, match=sentence) as caught:
        validated(PromptSpecification, data)
    assert "\n" not in str(caught.value)


def test_what_is_specified_is_what_is_built():
    tasks = {
        "kind": "task_mixture",
        "members": [
            {"kind": "fixed_linear", "weight_vector": [1, 2]},
            {"kind": "cubic", "direction": [1, 0], "coefficient": 2},
        ],
        "probabilities": [0.5, 0.5],
    }
    covariates = {"kind": "affine", "covariates": {"kind": "gaussian", "dimension": 2}, "scale": 0.5, "bias": 3}
    prompts = validated(PromptSpecification, {"covariates": covariates, "tasks": tasks}).build().sample(60, 4, seed=0)
    linear = np.isclose(prompts.targets, prompts.xs @ [1, 2]).all(axis=1)
    cubic = np.isclose(prompts.targets, 2 * prompts.xs[..., 0] ** 3).all(axis=1)
    assert (linear ^ cubic).all()
    assert 15 < linear.sum() < 45
    assert abs(prompts.xs.mean() - 3) < 4 * 0.5 / np.sqrt(480)


def test_an_embedding_record_knows_its_own_keys():
    @dataclass(frozen=True, kw_only=True, config={"extra": "forbid"})
    class Training:
        prompts: PromptSpecification
        steps: int = 10

    with pytest.raises(InvalidInputError, match=r"prompts must have only the keys .* Did you mean 'noise'"):
        validated(Training, {"prompts": {"covariates": GAUSSIAN, "nose": 1}})
    with pytest.raises(InvalidInputError, match="Did you mean 'steps'"):
        validated(Training, {"prompts": {"covariates": GAUSSIAN}, "step": 1})
    assert validated(Training, {"prompts": {"covariates": GAUSSIAN}, "steps": 1e6}).steps == 1_000_000


def test_law_is_scipys():
    law = build_law({"name": "gamma", "a": 2.0, "scale": 0.5})
    assert np.isclose(law.mean(), 1.0)
    assert np.isclose(law.var(), 0.5)
