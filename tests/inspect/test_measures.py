"""Truths about attention and the field's measures: uniform and hand-made heads, layers at their known minima."""

import numpy as np
import pytest
import torch

from iclab.evaluation import effective_weights
from iclab.foundations import InvalidInputError
from iclab.inspect import (
    Sensitivities,
    attention_shares,
    compare_with_descent,
    critical_distance,
    induction_scores,
    learner_and_theory,
    mean_patterns,
    products_and_identity,
    run,
)
from iclab.models import Architecture, Transformer, TransformerPredictor
from iclab.prompts import Gaussian, Linear, MarkovChains, PromptDistribution
from iclab.theory import minimizer

from .conftest import ARCHITECTURES, D, P, drawn, randomised


def layer(parameters, n_points):
    model = Transformer(Architecture.lsa(len(parameters.w_kq) - 1, n_points)).double()
    with torch.no_grad():
        model.blocks[0].attention.w_pv[0] = torch.tensor(parameters.w_pv)
        model.blocks[0].attention.w_kq[0] = torch.tensor(parameters.w_kq)
    return TransformerPredictor(model)


@pytest.mark.parametrize("embedding", ["interleaved", "stacked"])
def test_attention_to_all_alike_has_the_shares_of_all_alike(embedding, prompts):
    model = Transformer(Architecture(dimension=D, max_points=P, width=8, layers=1, embedding=embedding)).double()
    with torch.no_grad():
        model.blocks[0].attention.qkv.weight.zero_()
    table = attention_shares(model, prompts)
    np.testing.assert_allclose(table["share"], table["uniform"], atol=1e-12)
    np.testing.assert_allclose(table.groupby(["head", "role"])["share"].sum(), 1.0)
    _, cache = run(model, prompts, "*.pattern")
    patterns = mean_patterns(model, prompts)[0]
    np.testing.assert_allclose(patterns, cache["blocks.0.attention.pattern"].mean(0))


def test_shares_count_where_a_pattern_goes():
    model, prompts = randomised(ARCHITECTURES["softmax"]), drawn(5, shifted=False)
    _, cache = run(model, prompts, "blocks.1.attention.pattern")
    pattern = cache["blocks.1.attention.pattern"]
    labels = np.arange(1, 2 * P - 1, 2)
    table = attention_shares(model, prompts).query("block == 1 and role == 'label'")
    for head in (0, 1):
        own = table[table["head"] == head].set_index("to")["share"]
        np.testing.assert_allclose(own["self"], pattern[:, head, labels, labels].mean())
        np.testing.assert_allclose(own["own_example"], pattern[:, head, labels, labels - 1].mean())
        same = [pattern[:, head, t, 1:t:2].sum(-1) for t in labels]
        np.testing.assert_allclose(own["same_role"], np.mean(same))


def test_heads_that_are_made_for_induction_score_one():
    """Head 0 looks at the token before, by position; head 1 at equal symbols, by their embedding."""
    n, length = 3, 9
    model = Transformer(
        Architecture(dimension=0, max_points=length, width=24, heads=2, layers=1, mlp=False, layer_norm=False,
                     head="classes", outputs=n)
    ).double()  # fmt: skip
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.read_in.weight[:n] = torch.eye(n)
        model.positions.weight[:, n : n + length] = torch.eye(length)[: len(model.positions.weight)]
        q, k, _ = model.blocks[0].attention.qkv.weight.view(3, 2, 12, 24)
        q[0, :length, n : n + length] = 200 * torch.eye(length).roll(-1, 0)
        k[0, :length, n : n + length] = torch.eye(length)
        q[1, :n, :n], k[1, :n, :n] = 200 * torch.eye(n), torch.eye(n)
    prompts = MarkovChains(n).sample(20, length, seed=0)
    table = induction_scores(model, prompts).set_index(["score", "head"])
    assert table["share"]["prefix", 0] > 1 - 1e-6
    _, cache = run(model, prompts, "*.pattern")
    pattern, symbols = cache["blocks.0.attention.pattern"], np.insert(prompts.ys[:, :-1], 0, -1, axis=1)
    for head in (0, 1):
        for score, shift in (("duplicate", 0), ("induction", 1)):
            by_prompt = []
            for b, row in enumerate(symbols):
                shares = []
                for t in range(1, length):
                    to = [s for s in range(1 + shift, t + shift) if row[s - shift] == row[t]]
                    shares += [pattern[b, head, t, to].sum()] if to else []
                by_prompt.append(np.mean(shares))
            np.testing.assert_allclose(table["share"][score, head], np.mean(by_prompt))
    with pytest.raises(InvalidInputError, match="sequences of symbols"):
        induction_scores(randomised(ARCHITECTURES["softmax"]), drawn(3, shifted=False))


def test_products_are_those_of_the_scores_and_of_what_is_added(prompts):
    model = randomised(ARCHITECTURES["stacked-linear"])
    table = products_and_identity(model)
    attention = model.model.blocks[0].attention
    q, k, v = attention.qkv.weight.detach().numpy().reshape(3, 2, 4, 8)
    out = attention.out.weight.detach().numpy().reshape(8, 2, 4)
    for head in (0, 1):
        for product, matrix in (("key_query", k[head].T @ q[head]), ("projection_value", out[:, head] @ v[head])):
            row = table.query(f"block == 0 and head == {head} and product == '{product}'").iloc[0]
            grid = [np.linalg.norm(matrix - c * np.eye(8)) for c in row["multiple"] + np.array([-1e-3, 0, 1e-3])]
            assert np.argmin(grid) == 1
            np.testing.assert_allclose(row["distance"], grid[1] / np.linalg.norm(matrix))
            np.testing.assert_allclose(row["floor"], np.sqrt(1 / 2))
            assert row["distance"] >= row["floor"]


def test_the_minimum_of_theorem_4_is_a_critical_point_and_a_step_of_descent():
    covariance = np.diag([0.5, 1.0, 2.0])
    law = PromptDistribution(Gaussian(covariance), Linear())
    best = layer(minimizer(Gaussian(covariance), 6), 7)
    table = critical_distance(best, covariance)
    # Γ⁻¹ is no multiple of Λ⁻¹ for a finite prompt, and tends to it for a long one.
    assert table["a_distance"].item() > 0.01
    long = critical_distance(layer(minimizer(Gaussian(covariance), 10**9), 7), covariance)
    assert long["a_distance"].item() < 1e-6
    assert table[["b_distance", "rest_kq", "rest_pv"]].to_numpy().max() == 0
    learned = learner_and_theory(best, law.sample(20, 7, seed=0), covariance).set_index("position")
    assert learned["distance"][6] < 1e-9
    assert (learned["explained"] > 1 - 1e-12).all()
    isotropic = layer(minimizer(Gaussian(np.eye(3)), 6), 7)
    measures = compare_with_descent(isotropic, PromptDistribution(Gaussian(np.eye(3)), Linear()).sample(20, 7, seed=0))
    found = measures.pivot(index="position", columns="measure", values="mean")
    assert (found["cosine"] > 1 - 1e-12).all()
    assert found[["prediction", "model"]].to_numpy().max() < 1e-12
    np.testing.assert_allclose(measures["rate"], 6 / (6 + 1 + 3), rtol=1e-12)  # Γ = (1 + (1 + d)/N) I


@pytest.mark.parametrize("kind", ["softmax", "stacked-linear", "mamba2", "lstm"])
def test_exact_sensitivities_are_those_of_small_differences(kind, prompts):
    model = randomised(ARCHITECTURES[kind])
    found = Sensitivities(model).weights(prompts)
    expected = effective_weights(model, prompts, step=1e-4)
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_what_has_no_such_measure_is_refused(own):
    refused = {
        "block with attention": lambda: products_and_identity(randomised(ARCHITECTURES["lstm"])),
        "merged attention": lambda: critical_distance(randomised(ARCHITECTURES["softmax"]), np.eye(D)),
        "module of one's own": lambda: products_and_identity(own),
        "activation": lambda: mean_patterns(randomised(ARCHITECTURES["mamba2"]), drawn(3, shifted=False)),
        "rate must be given": lambda: compare_with_descent(own, drawn(3, shifted=False), steps=2),
    }
    for sentence, ask in refused.items():
        with pytest.raises(InvalidInputError, match=sentence):
            ask()
