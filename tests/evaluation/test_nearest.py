"""Which algorithm it is, and which linear map."""

import numpy as np
import pytest

from iclab.evaluation import effective_learner, effective_weights, nearest_algorithm
from iclab.foundations import InvalidInputError
from iclab.predictors import (
    Averaging,
    GradientDescent,
    LeastSquares,
    NearestNeighbors,
    Ridge,
    TrainedLSA,
    Zero,
)
from iclab.prompts import Gaussian, Linear, PromptDistribution, shift
from iclab.theory import gamma, minimizer

BASE = PromptDistribution(Gaussian.isotropic(4), Linear(), 0.4)
CANDIDATES = {"ls": LeastSquares(), "averaging": Averaging(), "ridge": Ridge(0.16), "zero": Zero()}


def verdicts(asked, candidates=CANDIDATES, **options):
    found = nearest_algorithm(asked, candidates, {"base": BASE}, 9, n_prompts=400, seed=0, n_bootstrap=200, **options)
    return found.verdicts.set_index("position"), found


@pytest.mark.parametrize("name", CANDIDATES)
def test_every_candidate_is_nearest_to_itself(name):
    rows, _ = verdicts(CANDIDATES[name])
    late = rows.loc[2:]
    assert (late["closest"] == name).all()
    assert (late["frequency"] == 1).all()
    assert (late["distance"] == 0).all()


def test_a_slight_change_is_recognised_and_a_far_one_is_nothing():
    rows, _ = verdicts(lambda prompts: 1.01 * CANDIDATES["ridge"](prompts))
    assert (rows.loc[3:, "nearest"] == "ridge").all()
    rows, _ = verdicts(lambda prompts: 5 + CANDIDATES["ridge"](prompts))
    assert (rows["nearest"] == "none").all()
    rows, _ = verdicts(lambda prompts: 5 + CANDIDATES["ridge"](prompts), beyond=1e3)
    assert (rows["nearest"] != "none").all()


def test_equal_candidates_are_named_as_ties():
    both = {"averaging": Averaging(), "one step of descent": GradientDescent(1, 1.0), "zero": Zero()}
    rows, found = verdicts(Averaging(), both)
    assert set(rows.loc[4:, "closest"]) | set(rows.loc[4:, "ties"]) == {"averaging", "one step of descent"}
    assert (found.distances.query("position > 3 and candidate != 'zero'")["frequency"] == 1).all()


def test_an_undecided_case_says_so():
    # Halfway between two candidates: each is the nearest in a good share of bootstraps.
    half = {"low": lambda p: 0.9 * Ridge(1.0)(p), "high": lambda p: 1.1 * Ridge(1.0)(p)}
    rows, _ = verdicts(lambda p: (1 + 0.02 * np.sign(p.queries[..., 0])) * Ridge(1.0)(p), half)
    assert (rows.loc[1:, "ties"] != "").any()


def test_distances_are_in_mean_squared_targets():
    _, found = verdicts(Zero(), {"zero": Zero(), "double": lambda p: 2 * p.targets})
    doubled = found.distances.query("candidate == 'double'")["distance"]
    np.testing.assert_allclose(doubled, 4.0, rtol=1e-12)


def test_bad_input():
    with pytest.raises(InvalidInputError, match="candidates must name at least one"):
        nearest_algorithm(Zero(), {}, {"base": BASE}, 3, seed=0)


def test_differences_find_the_weights_they_do_not_know():
    prompts = shift("scale-query=2").apply(BASE).sample(3, 7, seed=1)
    exact = effective_weights(LeastSquares(), prompts)
    by_differences = effective_weights(lambda p: LeastSquares()(p), prompts)
    np.testing.assert_allclose(by_differences, exact, atol=1e-9)
    # Piecewise constant: no slope.
    assert (effective_weights(NearestNeighbors(3), prompts, step=1e-9) == 0).all()


def test_the_layer_applies_the_inverse_of_gamma():
    covariance = np.array([[1.0, 0.3], [0.3, 0.7]])
    prompts = PromptDistribution(Gaussian(covariance), Linear(), 0.3).sample(30, 5, seed=2)
    found = effective_learner(TrainedLSA(minimizer(Gaussian(covariance), 6)), prompts)
    assert np.isnan(found.matrices[0]).all()
    np.testing.assert_allclose(found.matrices[1:], np.tile(np.linalg.inv(gamma(covariance, 6)), (4, 1, 1)), rtol=1e-6)
    np.testing.assert_allclose(found.explained[1:], 1.0, rtol=1e-9)
    identity = effective_learner(Averaging(), prompts)
    np.testing.assert_allclose(identity.matrices[2], np.eye(2), atol=1e-12)
    assert effective_learner(LeastSquares(), prompts).explained[3] < 0.999
