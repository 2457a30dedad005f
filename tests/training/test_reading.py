"""Overrides are one change, whatever their order."""

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iclab.foundations import InvalidInputError
from iclab.training import preset, read_config

BASE = {"preset": "tiny", "dimension": 2, "n_train": 4}
# Any of these go together, in any order.
CHANGES = {
    "optimizer.learning_rate": [1e-4, 3e-3],
    "optimizer.kind": ["sgd", "adamw", "muon"],
    "optimizer.clip": [None, 2.0],
    "optimizer": [{"momentum": 0.5}],
    "prompts.covariates.kind": ["gaussian", "random_diagonal"],
    "prompts.covariates": [{"dimension": 2}],
    "prompts.noise": [0.0, 0.5],
    "prompts.tasks.kind": ["linear"],
    "model": [{"width": 32}],
    "model.layers": [2],
    "steps": [50],
    "targets": ["labels"],
}


def outcome(changes):
    try:
        return read_config(BASE, changes)
    except InvalidInputError as error:
        return str(error)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_order_of_overrides_gives_the_same_configuration(data):
    keys = data.draw(st.lists(st.sampled_from(sorted(CHANGES)), min_size=2, max_size=5, unique=True))
    changes = {key: data.draw(st.sampled_from(CHANGES[key])) for key in keys}
    orders = list(permutations(changes.items()))
    found = outcome(dict(orders[0]))
    for order in data.draw(st.lists(st.sampled_from(orders), max_size=6)):
        assert outcome(dict(order)) == found
    if isinstance(found, str):
        return  # such as another kind of inputs without a dimension
    for key, value in changes.items():
        place = found.as_dict()
        for part in key.split("."):
            place = place[part]
        assert place == value or value.items() <= place.items()


@pytest.mark.parametrize("kind", ["sgd", "adamw", "muon"])
@pytest.mark.parametrize("stated", [{}, {"kind": "adam"}])
def test_what_a_file_says_is_kept_under_another_kind_that_has_it_too(kind, stated):
    given = {**BASE, "optimizer": {"learning_rate": 1e-4, **stated}}
    found = read_config(given, {"optimizer.kind": kind}).optimizer
    assert (found.kind, found.learning_rate) == (kind, 1e-4)
    tasks = {**BASE, "targets": "labels", "prompts": {"tasks": {"kind": "sparse_linear", "nonzeros": 2}}}
    assert read_config(tasks, {"prompts.tasks.kind": "quadratic"}).prompts.tasks.kind == "quadratic"


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer.clip": 1.0, "optimizer": {"clip": 2.0}},
        {"optimizer": None, "optimizer.clip": 1.0},
        {"model.layers": 2, "model": {"layers": 3}},
        {"steps": 50, "steps.x": 3},
    ],
)
def test_two_values_for_one_field_are_refused_in_either_order(changes):
    for order in permutations(changes.items()):
        with pytest.raises(InvalidInputError, match="must be changed once"):
            read_config(BASE, dict(order))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"steps": "12"}, "steps"),
        ({"steps": True}, "steps"),
        ({"seed": "0"}, "seed"),
        ({"model.mlp": 1}, "model.mlp must be true or false"),
        ({"model.mlp": "yes"}, "model.mlp must be true or false"),
        ({"optimizer.betas": [1, 1]}, "less than 1"),
        ({"optimizer.betas": ["0.9", 0.5]}, "must be a number"),
        ({"steps": 1e300}, "steps"),
    ],
)
def test_numbers_are_numbers(changes, sentence):
    with pytest.raises(InvalidInputError, match=sentence) as error:
        read_config(BASE, changes)
    assert "Input should" not in str(error.value)


def test_the_rate_of_matrices_keeps_a_presets_ratio():
    usual = preset("small").optimizer
    for change in ({"learning_rate": usual.learning_rate / 10}, {"learning_rate": 0.5}):
        found = read_config({"preset": "small", "optimizer": change}).optimizer
        assert found.matrix_learning_rate / found.learning_rate == pytest.approx(
            usual.matrix_learning_rate / usual.learning_rate, rel=1e-9
        )
        assert read_config({"preset": "small"}, {"optimizer.learning_rate": change["learning_rate"]}).optimizer == found
    both = {"learning_rate": 1e-4, "matrix_learning_rate": 1e-2}
    assert read_config({"preset": "small", "optimizer": both}).optimizer.matrix_learning_rate == 1e-2
    assert read_config({"preset": "small"}, {"optimizer.kind": "sgd", "optimizer.learning_rate": 1e-2}).optimizer == (
        read_config({"preset": "small"}, {"optimizer.learning_rate": 1e-2, "optimizer.kind": "sgd"}).optimizer
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [1.0, float("-inf")], {"deep": float("nan")}])
def test_arguments_that_no_file_keeps_are_refused(value):
    """JSON and YAML of a run would hold null in their place, and a resumed run would be another."""
    own = {"kind": "own", "object": "mine:Net", "arguments": {"size": value}}
    with pytest.raises(InvalidInputError, match="must be finite"):
        read_config({"preset": "tiny", "model": own})


def test_keys_that_do_not_go_together_are_told_once():
    """With the values at odds, and not with the whole of the part that holds them."""
    with pytest.raises(InvalidInputError) as caught:
        read_config({**BASE, "model": {"mixers": ["delta"], "attention": "linear"}})
    assert str(caught.value).count("given") == 1
    assert "layers" not in str(caught.value)
