"""Many starts at once: the same ends as one trajectory at a time, and the counts of the notes."""

import math

import numpy as np
import pytest

from iclab.flow import flow_ends, gradient_flow
from iclab.foundations import InvalidInputError
from iclab.prompts import Gaussian
from iclab.theory import LSAParameters, assumption3, population_gradient, random_theta


def test_same_ends_as_single_trajectories():
    covariates = Gaussian.isotropic(2)
    starts = np.random.default_rng(5).standard_normal((1, 9))
    ends = flow_ends(starts, covariates, 20)
    for vector, excess, kind in zip(starts, ends.excess, ends.kinds, strict=True):
        trajectory = gradient_flow(LSAParameters.from_vector(vector), covariates, 20, math.inf)
        assert trajectory.excess(math.inf) == pytest.approx(excess, abs=1e-6)
        assert kind in trajectory.status


def test_normal_starts_end_at_the_local_minimum():
    """d = 2, N = 20, starts from N(0, 1): 17 of 20 runs of the notes do; ours must be no rarer than half of that."""
    ends = flow_ends(np.random.default_rng(0).standard_normal((24, 9)), Gaussian.isotropic(2), 20)
    assert ends.count("local minimum") + ends.count("global minimum") == 24
    local = ends.kinds == "local minimum"
    assert local.sum() >= 11
    assert np.ptp(ends.excess[local]) < 1e-6  # all at the one family, of one excess
    for vector in ends.vectors[local][:3]:
        gradient = population_gradient(LSAParameters.from_vector(vector), Gaussian.isotropic(2), 20)
        assert np.abs(gradient.vector).max() < 1e-6


def test_perturbed_assumption_3_always_learns():
    rng = np.random.default_rng(1)
    starts = [assumption3(random_theta(3, k), 0.3).vector + 0.09 * rng.standard_normal(16) for k in range(8)]
    assert flow_ends(starts, Gaussian(np.diag([1, 0.5, 0.3])), 12).count("global minimum") == 8


def test_a_critical_start_stays():
    ends = flow_ends(np.zeros((1, 9)), Gaussian.isotropic(2), 20)
    assert ends.kinds.tolist() == ["saddle"]
    assert ends.times.tolist() == [0.0]


def test_bad_input():
    with pytest.raises(InvalidInputError, match="starts"):
        flow_ends(np.zeros((2, 8)), Gaussian.isotropic(2), 20)
