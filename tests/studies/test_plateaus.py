"""The study of plateaus: times near a level, the logistic curve, and directions of a followed flow."""

import numpy as np
import pytest

from iclab.flow import MergedHeads
from iclab.studies.plateaus.measure import descended, order
from iclab.studies.plateaus.problems import FIXED, Problem, followed, logistic, time_near


def test_time_near_a_level_of_a_straight_descent():
    t = np.linspace(0, 1, 100_001)
    assert time_near(t, 1 - t, 0.5) == pytest.approx(0.05, abs=1e-4)
    assert time_near(t, 1 - t, 1.0) == pytest.approx(0.05, abs=1e-4)


def test_merged_heads_on_isotropic_inputs_are_logistic():
    """The difference is of second order in the start."""
    gaps = []
    for scale in (1e-2, 1e-3):
        rows = logistic(MergedHeads.random(3, 4, scale, 0))
        gaps.append(float((rows["error"] - rows["exact"]).abs().max()))
    assert gaps[0] < 0.05
    assert gaps[1] < gaps[0] / 30


@pytest.mark.slow
def test_a_flow_rests_where_and_learns_what_is_predicted():
    whole = followed(Problem(FIXED), 5, 1, 0.05, 0)
    drops, levels = (whole[whole["table"] == name] for name in ("drops", "levels"))
    assert drops["directions"].astype(bool).all()
    assert (drops["gap"].abs() < 0.2).all()
    assert (levels["gap"].dropna().abs() < 0.01).all()


def test_far_apart_eigenvalues_are_learned_in_order():
    [row] = order(100.0, 2, 0.01, 5, 1).to_dict("records")
    assert (row["first"], row["as_predicted"]) == (5, 1)


@pytest.mark.slow
def test_gradient_descent_waits_longer_than_adam():
    share = {rule: float(descended(rule, 0.05, 0)["share"].dropna().iloc[0]) for rule in ("gradient", "adam")}
    assert share["gradient"] > share["adam"]
