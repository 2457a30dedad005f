"""Whole laws of prompts by their kind, beside functions of inputs, which have none."""

import json
import pickle

import numpy as np
import pytest
from pydantic.dataclasses import dataclass

from iclab.foundations import InvalidInputError
from iclab.prompts.problem_specifications import ProblemSpecification
from iclab.prompts.specification import PromptSpecification, plain, validated


@dataclass(frozen=True, kw_only=True, config={"extra": "forbid"})
class Training:
    prompts: ProblemSpecification


VALID = {
    "functions": {"covariates": {"kind": "gaussian", "dimension": 2}, "noise": 1},
    "markov_chains": {"kind": "markov_chains", "n_symbols": 3},
    "order": {"kind": "markov_chains", "n_symbols": 3, "concentration": 0.5, "order": 2, "start": "uniform"},
    "linear_dynamics": {"kind": "linear_dynamics", "size": 3, "law": "gaussian", "noise": 0.1},
    "gaussian_mixture": {"kind": "gaussian_mixture", "dimension": 3, "radius": 2, "flips": 0.2},
    "bursty_classes": {
        "kind": "bursty_classes",
        "dimension": 4,
        "n_classes": 12,
        "n_labels": 3,
        "burst": 2,
        "copies": 0.5,
    },
    "markov_pool": {"kind": "markov_pool", "n_chains": 5, "n_symbols": 3, "seed": 2},
}


@pytest.mark.parametrize("name", VALID)
def test_builds_samples_and_survives_json(name):
    given = validated(Training, {"prompts": VALID[name]})
    prompts = given.prompts.build().sample(3, 5, seed=0)
    again = validated(Training, json.loads(json.dumps(plain(given))))
    assert again == given
    assert pickle.loads(pickle.dumps(given)) == given
    np.testing.assert_array_equal(again.prompts.build().sample(3, 5, seed=0).ys, prompts.ys)
    assert VALID[name].items() <= plain(given)["prompts"].items() or name == "functions"


def test_functions_are_written_as_they_were():
    given = validated(Training, {"prompts": VALID["functions"]})
    assert plain(given)["prompts"] == plain(validated(PromptSpecification, VALID["functions"]))


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"kind": "markov_chain", "n_symbols": 3}, "the kind of prompts must be one of markov_chains, .* Did you mean"),
        ({"kind": "markov_chains"}, "prompts.markov_chains must have the key 'n_symbols'"),
        ({"kind": "markov_chains", "n_symbols": 3, "oder": 1}, "Did you mean 'order'"),
        ({"kind": "markov_chains", "n_symbols": 1}, "prompts.markov_chains.n_symbols"),
        ({"covariates": {"kind": "gausian"}}, "kind of prompts.covariates must .* Did you mean 'gaussian'"),
        (
            {"covariates": {"kind": "gaussian", "dimension": 2}, "nose": 1},
            r"prompts must have only the keys covariates, .*'noise'",
        ),
        ({}, "prompts must have the key 'covariates'"),
    ],
)
def test_one_sentence_names_the_place_and_the_closest_word(data, sentence):
    with pytest.raises(InvalidInputError, match=sentence) as caught:
        validated(Training, {"prompts": data})
    assert "untagged" not in str(caught.value)
