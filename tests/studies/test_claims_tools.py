"""The tools that the checks of claims rest on, against independent facts."""

import numpy as np
import pytest

from iclab.prompts import Gaussian
from iclab.studies.claims.bench import Bench, written_gamma
from iclab.studies.claims.cubature import LinearPrompts, quadratic_gradient
from iclab.studies.claims.random_laws import Atoms, random_problems
from iclab.studies.claims.trajectories import pl_constant, threshold, u_lower_bound
from iclab.theory import LSAParameters, certificate, flow_coefficients


def bench(name: str = "test", seed: int = 0, critical: float = 4.0) -> Bench:
    return Bench(name, seed, "quick", critical)


def test_cubature_through_the_forward_pass_meets_a_reference_loss() -> None:
    covariance = np.array([[1.0, 0.3], [0.3, 0.7]])
    zero = LSAParameters.from_blocks(np.zeros(2), 0.0, np.zeros((2, 2)), np.zeros(2))
    assert LinearPrompts.build(covariance, 2).loss(zero) == pytest.approx(np.trace(covariance) / 2)
    # One example, d = 1, Λ = 1: ½E(x₁²x_q w − w x_q)² = ½(E x⁴ − 2E x² + 1) = 1.
    one = LSAParameters.from_blocks([0.0], 1.0, [[1.0]], [0.0])
    assert LinearPrompts.build(np.eye(1), 1).loss(one) == pytest.approx(1.0)


def test_quadratic_gradient_is_exact() -> None:
    point = np.array([0.7, -1.3])
    found = quadratic_gradient(lambda v: v[0] ** 2 * v[1] ** 2 - 3 * v[0] * v[1] ** 2 + v[1], point)
    assert found == pytest.approx([(2 * 0.7 - 3) * 1.3**2, 1.3 * 0.7 * (6 - 2 * 0.7) + 1], rel=1e-12)


def test_problems_are_drawn_from_their_seed_and_differ_between_claims() -> None:
    first, same, other_seed, other_claim = (
        [p.cov for p in bench(name, seed).problems(8)] for name, seed in (("a", 0), ("a", 0), ("a", 1), ("b", 0))
    )
    assert all(np.array_equal(x, y) for x, y in zip(first, same, strict=True))
    assert not np.array_equal(first[0], other_seed[0])
    assert not np.array_equal(first[0], other_claim[0])


def test_problems_satisfy_assumption_3_and_its_threshold() -> None:
    for problem in bench().problems(40, dimensions=(1, 6)):
        assert np.linalg.norm(problem.theta) == pytest.approx(1)
        assert 0 < problem.scale < threshold(problem)
        assert problem.eigenvalues[0] > 0
        assert np.allclose(problem.gamma, written_gamma(problem.cov, problem.n))


def test_written_constants_are_those_of_the_theory() -> None:
    for problem in bench().problems(20):
        found = certificate(Gaussian(problem.cov), problem.n, problem.theta, problem.scale)
        assert found.threshold == pytest.approx(threshold(problem))
        assert found.u_lower_bound == pytest.approx(u_lower_bound(problem))
        assert found.pl_constant == pytest.approx(pl_constant(problem))


def test_enumerated_constants_are_those_of_the_theory() -> None:
    for problem in random_problems(bench(), 8):
        found = flow_coefficients(problem.covariates, problem.n)
        assert found.decay == pytest.approx(problem.decay)
        assert found.drive == pytest.approx(problem.mean_square)
        assert found.target == pytest.approx(problem.target)


def test_atoms_are_a_law() -> None:
    law = Atoms((2.0, 0.5), (0.25, 0.75))
    assert law.mean() == pytest.approx(0.875)
    assert law.moment(3) == pytest.approx(0.25 * 8 + 0.75 / 8)
    uniforms = np.random.default_rng(0).random(20_000)
    assert law.ppf(uniforms).mean() == pytest.approx(0.875, abs=0.02)
    assert law.cdf(np.array([0.4, 0.5, 1.0, 2.0])) == pytest.approx([0, 0.75, 0.75, 1])
