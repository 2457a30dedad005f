"""Truths about labels that are vectors or classes, about variances, and about sequences without inputs."""

import dataclasses

import numpy as np
import pytest
import torch

from iclab import theory
from iclab.foundations import InvalidInputError
from iclab.models import Architecture, Transformer, TransformerPredictor, read_model, save_model
from iclab.models.embedding import tokens
from iclab.prompts import MarkovChains, Prompts

D, P, K = 3, 7, 5
BASE = Architecture(dimension=D, max_points=P, width=8, layers=2)
HEADS = {
    "vector": {"outputs": K},
    "vector-stacked": {"outputs": K, "embedding": "stacked"},
    "classes": {"outputs": K, "head": "classes"},
    "classes-stacked": {"outputs": K, "head": "classes", "embedding": "stacked"},
    "variance": {"head": "mean_variance"},
    "vector-variance": {"head": "mean_variance", "outputs": K},
    "symbols": {"dimension": 0, "outputs": K, "head": "classes"},
    "symbols-mamba2": {"dimension": 0, "outputs": K, "head": "classes", "mixers": ("mamba2",)},
    "symbols-lstm": {"dimension": 0, "outputs": K, "head": "classes", "mixers": ("lstm",)},
    "vectors-in-turn": {"dimension": 0, "outputs": K},
}
EVERY = pytest.mark.parametrize("name", HEADS)


def prompts_of(architecture, n_prompts=4):
    rng = np.random.default_rng(3)
    xs, queries = rng.standard_normal((2, n_prompts, P, architecture.dimension))
    labels = architecture.labels
    ys = rng.standard_normal((n_prompts, P, *labels.shape))
    if labels.n_classes:
        ys = rng.integers(K, size=(n_prompts, P))
    if not architecture.dimension:
        queries = xs
    return Prompts(xs, ys, queries, ys, labels.n_classes)


@pytest.fixture
def made(name, randomised):
    architecture = dataclasses.replace(BASE, **HEADS[name])
    return randomised(architecture), prompts_of(architecture)


@EVERY
def test_answers_have_the_shape_of_what_labels_ask(made):
    model, prompts = made
    answers = TransformerPredictor(model)(prompts)
    assert answers.shape == (4, P, *prompts.labels.answer_shape)
    if prompts.n_classes:
        np.testing.assert_allclose(answers.sum(-1), 1, rtol=1e-12)
        assert (answers > 0).all()
    if model.architecture.head == "mean_variance":
        assert (TransformerPredictor(model).variances(prompts) > 0).all()


@EVERY
def test_one_pass_is_one_pass_per_position(made):
    model, prompts = made
    together = TransformerPredictor(model)(prompts)
    for i in range(P):
        xs = np.concatenate([prompts.xs[:, :i], prompts.queries[:, i : i + 1]], axis=1)
        ys = prompts.ys[:, : i + 1].copy()
        ys[:, i] = (ys[:, i] + 1) % K  # the label asked for, never seen
        alone = TransformerPredictor(model)(Prompts(xs, ys, xs, ys, prompts.n_classes))
        np.testing.assert_allclose(alone[:, i], together[:, i], rtol=1e-9, atol=1e-12)


@EVERY
def test_labels_before_a_position_matter(made):
    model, prompts = made
    before = TransformerPredictor(model)(prompts)
    ys = prompts.ys.copy()
    ys[:, 2] = (ys[:, 2] + 1) % K
    after = TransformerPredictor(model)(dataclasses.replace(prompts, ys=ys))
    assert (after[:, :3] == before[:, :3]).all()
    assert (after[:, 3:] != before[:, 3:]).any(axis=tuple(range(2, after.ndim))).all()


@EVERY
def test_a_model_comes_back_from_its_folder(made, tmp_path):
    model, prompts = made
    save_model(model, tmp_path / "model")
    again = read_model(tmp_path / "model")
    assert again.architecture == model.architecture
    np.testing.assert_array_equal(TransformerPredictor(again)(prompts), TransformerPredictor(model)(prompts))


def test_each_number_of_a_vector_is_predicted_as_the_paper_predicts_one(randomised):
    one = randomised(Architecture.lsa(D, P))
    vector = randomised(dataclasses.replace(Architecture.lsa(D, P), outputs=K, width=D + K))
    w_pv, w_kq = (getattr(one.blocks[0].attention, name).detach().numpy()[0] for name in ("w_pv", "w_kq"))
    attention = vector.blocks[0].attention
    with torch.no_grad():
        attention.w_pv.zero_()
        attention.w_kq.zero_()
        attention.w_pv[0, D:, D:] = w_pv[-1, -1] * torch.eye(K, dtype=torch.float64)
        attention.w_kq[0, :D, :D] = torch.from_numpy(w_kq[:-1, :-1])
    prompts = prompts_of(vector.architecture)
    found = TransformerPredictor(vector)(prompts)
    parameters = theory.LSAParameters.from_blocks(np.zeros(D), w_pv[-1, -1], w_kq[:-1, :-1], np.zeros(D))
    for i in range(1, P):
        for k in range(K):
            expected = theory.predict(parameters, prompts.xs[:, :i], prompts.ys[:, :i, k], prompts.queries[:, i])
            np.testing.assert_allclose(found[:, i, k], expected, rtol=1e-12, atol=1e-12)


def test_the_read_in_of_a_class_is_its_embedding(randomised):
    architecture = dataclasses.replace(BASE, dimension=0, outputs=K, head="classes")
    model, prompts = randomised(architecture), prompts_of(architecture)
    ys = torch.from_numpy(prompts.ys)
    indicators = torch.nn.functional.one_hot(ys, K).double()
    read = model.read_in(tokens("sequence", torch.from_numpy(prompts.xs), indicators, None))
    table = model.read_in.weight.T + model.read_in.bias
    torch.testing.assert_close(read[:, 1:], table[ys[:, :-1]], rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(read[:, 0], model.read_in.bias.expand(4, -1), rtol=1e-12, atol=1e-14)


def test_markov_chains_are_prompts_of_a_sequence_model(randomised):
    model = randomised(dataclasses.replace(BASE, dimension=0, outputs=K, head="classes"))
    assert TransformerPredictor(model)(MarkovChains(K).sample(2, P, seed=0)).shape == (2, P, K)


@pytest.mark.parametrize(
    "parts",
    [
        {"head": "classes"},
        {"dimension": 0},
        {"dimension": 0, "outputs": K, "embedding": "stacked"},
        {"read_in": "identity", "embedding": "stacked", "width": D + 1, "head": "mean_variance"},
        {"head": "median"},
        {"outputs": 0},
    ],
)
def test_heads_that_fit_no_labels_are_refused_in_one_sentence(parts):
    with pytest.raises(InvalidInputError, match=r"^[^\n]*\.$"):
        dataclasses.replace(BASE, **parts)


@pytest.mark.parametrize("head", ["vector", "classes"])
def test_prompts_with_other_labels_are_refused(head, prompts):
    model = Transformer(dataclasses.replace(BASE, **HEADS[head]))
    with pytest.raises(InvalidInputError, match="labels of the model"):
        TransformerPredictor(model)(prompts)


def test_only_models_of_variances_tell_variances(prompts):
    with pytest.raises(InvalidInputError, match="mean_variance"):
        TransformerPredictor(Transformer(BASE)).variances(prompts)
