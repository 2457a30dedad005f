"""The forward pass: (3), its reduced form (6), the quadratic form of Lemma 9 and the softmax original."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iclab.foundations import InvalidInputError
from iclab.theory import (
    LSAParameters,
    assumption3,
    attention,
    embed,
    lsa,
    negative_eigenvalues,
    predict,
    quadratic_form,
    random_theta,
)

seeds = st.integers(0, 2**32 - 1)


def draw(seed: int, d: int, n: int, batch: tuple[int, ...] = ()) -> tuple:
    rng = np.random.default_rng(seed)
    parameters = LSAParameters(rng.normal(size=(d + 1, d + 1)), rng.normal(size=(d + 1, d + 1)))
    return parameters, rng.normal(size=(*batch, n, d)), rng.normal(size=(*batch, n)), rng.normal(size=(*batch, d))


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(1, 5), st.integers(1, 7))
def test_three_forms_of_the_prediction_agree(seed, d, n):
    parameters, xs, ys, query = draw(seed, d, n, (2, 3))
    embedding = embed(xs, ys, query)
    full = lsa(embedding, parameters)[..., -1, -1]
    scale = np.abs(full).max()
    np.testing.assert_allclose(predict(parameters, xs, ys, query), full, rtol=0, atol=1e-12 * scale)
    t = parameters.vector
    np.testing.assert_allclose(t @ quadratic_form(embedding) @ t, full, rtol=0, atol=1e-12 * scale)


def test_the_layer_is_equation_3_written_out():
    parameters, xs, ys, query = draw(3, 2, 3)
    E = np.array([[*xs[:, 0], query[0]], [*xs[:, 1], query[1]], [*ys, 0]])
    np.testing.assert_array_equal(embed(xs, ys, query), E)
    expected = np.empty_like(E)
    for column in range(4):
        attended = sum((E[:, j] @ parameters.w_kq @ E[:, column]) * E[:, j] for j in range(4)) / 3
        expected[:, column] = E[:, column] + parameters.w_pv @ attended
    np.testing.assert_allclose(lsa(E, parameters), expected, rtol=1e-13)


def test_leading_axes_broadcast():
    parameters, xs, ys, _ = draw(5, 3, 5)
    queries = np.random.default_rng(6).normal(size=(4, 3))
    together = predict(parameters, xs, ys, queries)
    one_by_one = [predict(parameters, xs, ys, query) for query in queries]
    np.testing.assert_allclose(together, one_by_one, rtol=1e-13)
    assert embed(xs, ys, queries).shape == (4, 4, 6)


def test_only_the_blocks_matter_and_their_scale_does_not():
    parameters, xs, ys, query = draw(7, 3, 5)
    value = predict(parameters, xs, ys, query)
    blocks = LSAParameters.from_blocks(*parameters.blocks)
    assert lsa(embed(xs, ys, query), blocks)[-1, -1] == pytest.approx(value, rel=1e-13)
    scaled = LSAParameters(3 * parameters.w_pv, parameters.w_kq / 3)
    assert predict(scaled, xs, ys, query) == pytest.approx(value, rel=1e-13)
    again = LSAParameters.from_vector(parameters.vector)
    for mine, theirs in zip(again.blocks, parameters.blocks, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(1, 5), st.integers(1, 8))
def test_negative_eigenvalues_of_lemma_9(seed, d, n):
    _, xs, _, query = draw(seed, d, n)
    w = np.random.default_rng(seed + 1).normal(size=d)
    embedding = embed(xs, xs @ w, query)
    eigenvalues = np.linalg.eigvalsh(quadratic_form(embedding))
    assert negative_eigenvalues(embedding) == np.sum(eigenvalues < -1e-13 * eigenvalues[-1])
    # With noise-free labels the rows of (X; y) are dependent, but the query's column is (x_q; 0).
    assert negative_eigenvalues(embedding) == min(n, d) + 1
    assert negative_eigenvalues(embed(xs, xs @ w, 0 * query)) == 0


def test_attention_is_the_softmax_of_equation_2_written_out():
    rng = np.random.default_rng(0)
    E = rng.normal(size=(2, 5, 7))
    w_k, w_q = rng.normal(size=(2, 3, 5))
    w_v, w_p = rng.normal(size=(4, 5)), rng.normal(size=(5, 4))
    output = attention(E, w_k, w_q, w_v, w_p, rho=1.7)
    for batch in range(2):
        for column in range(7):
            scores = np.array([(w_k @ E[batch, :, j]) @ (w_q @ E[batch, :, column]) / 1.7 for j in range(7)])
            weights = np.exp(scores) / np.exp(scores).sum()
            expected = E[batch, :, column] + w_p @ w_v @ sum(weights[j] * E[batch, :, j] for j in range(7))
            np.testing.assert_allclose(output[batch, :, column], expected, rtol=1e-12)
    default = attention(E, w_k, w_q, w_v, w_p)
    np.testing.assert_array_equal(default, attention(E, w_k, w_q, w_v, w_p, rho=np.sqrt(3)))


def test_attention_survives_large_scores_and_linearises_for_small_ones():
    rng = np.random.default_rng(1)
    E = rng.normal(size=(4, 6))
    key = query = np.eye(4)
    assert np.isfinite(attention(1e4 * E, key, query, key, query)).all()
    # softmax = (1 + s − mean s)/m + O(s²): the linear layer, centred over the columns.
    size = 1e-5
    output = attention(E, size * key, query, key, query, rho=1.0) - E
    scores = size * E.T @ E
    linear = E @ (1 + scores - scores.mean(0)) / 6
    np.testing.assert_allclose(output, linear, rtol=0, atol=50 * size**2)


def test_assumption_3():
    theta = random_theta(4, seed=9)
    assert np.linalg.norm(theta) == pytest.approx(1, rel=1e-14)
    assert np.linalg.eigvalsh(theta)[0] > 0
    np.testing.assert_array_equal(theta, random_theta(4, seed=9))
    a, u, U, b = assumption3(5 * theta, 0.3).blocks
    assert u == 0.3
    assert not a.any()
    assert not b.any()
    np.testing.assert_allclose(U, 0.3 * theta, rtol=1e-14)


@pytest.mark.parametrize(
    "call",
    [
        lambda: LSAParameters(np.eye(3), np.eye(4)),
        lambda: LSAParameters(np.eye(1), np.eye(1)),
        lambda: LSAParameters(np.full((2, 2), np.nan), np.eye(2)),
        lambda: LSAParameters.from_blocks([1, 2], 1, np.eye(3), [1, 2, 3]),
        lambda: LSAParameters.from_vector(np.ones(5)),
        lambda: embed(np.ones((3, 2)), np.ones(4), np.ones(2)),
        lambda: embed(np.ones((3, 2)), np.ones(3), np.ones(3)),
        lambda: lsa(np.ones((4, 3)), LSAParameters(np.eye(3), np.eye(3))),
        lambda: lsa(np.ones((3, 1)), LSAParameters(np.eye(3), np.eye(3))),
        lambda: predict(LSAParameters(np.eye(3), np.eye(3)), np.ones((0, 2)), np.ones(0), np.ones(2)),
        lambda: predict(LSAParameters(np.eye(3), np.eye(3)), np.ones((4, 3)), np.ones(4), np.ones(3)),
        lambda: attention(np.ones((2, 3)), np.eye(2), np.eye(2), np.eye(2), np.eye(2), rho=0.0),
        lambda: attention(np.ones((2, 3)), np.eye(3), np.eye(2), np.eye(2), np.eye(2)),
        lambda: assumption3(np.zeros((2, 2)), 1.0),
        lambda: assumption3(-np.eye(2), 1.0),
        lambda: assumption3(np.eye(2), 0.0),
        lambda: random_theta(0, 1),
    ],
)
def test_bad_input_is_refused_in_one_sentence(call):
    with pytest.raises(InvalidInputError, match=r"^[^\n]+\.$"):
        call()


@pytest.mark.parametrize(
    ("xs", "ys", "query", "why"),
    [
        (np.ones((3, 2)) * 1j, np.ones(3), np.ones(2), "xs must be an array of real numbers"),
        ([["a", "b"]], [1], [1, 2], "xs must be an array of real numbers"),
        ([[1, 2], [1]], [1, 2], [1, 2], "xs must be an array of real numbers"),
        (np.ones((3, 4, 2)), np.ones((2, 4)), np.ones((3, 2)), r"broadcast; \(3,\), \(2,\) and \(3,\)"),
    ],
)
@pytest.mark.parametrize("form", [embed, lambda *prompt: predict(random_layer(2), *prompt)])
def test_prompts_that_are_none_are_refused(form, xs, ys, query, why):
    with pytest.raises(InvalidInputError, match=why):
        form(xs, ys, query)


@pytest.mark.parametrize("factor", [1e-300, 1e-200, 1.0, 1e200, 1e300])
def test_the_size_of_theta_does_not_matter(factor):
    theta = np.array([[2.0, 1.0], [1.0, 3.0]])
    U = assumption3(factor * theta, 0.5).blocks[2]
    np.testing.assert_allclose(U, 0.5 * theta / np.linalg.norm(theta), rtol=1e-14)


def random_layer(d: int) -> LSAParameters:
    return draw(0, d, 1)[0]
