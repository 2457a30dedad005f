"""The line beside looped models: tied GD++ with the least error."""

import pytest

from iclab.studies.loops.measure import best_descent


@pytest.mark.parametrize(("dimension", "n_train"), [(2, 6), (5, 10)])
def test_one_step_of_the_best_rate_is_the_minimiser_of_theorem_4(dimension, n_train):
    # For Λ = I: Γ⁻¹ = N/(N + d + 1), with the error d(d + 1)/(N + d + 1); curvature moves nothing in one step.
    found = best_descent(dimension, n_train, 1, 20_000, 0).iloc[0]
    assert found["rate"] == pytest.approx(n_train / (n_train + dimension + 1), rel=0.01)
    assert found["error_at_n"] == pytest.approx(dimension * (dimension + 1) / (n_train + dimension + 1), rel=0.02)
    assert best_descent(dimension, n_train, 2, 2_000, 0)["error_at_n"].iloc[0] < found["error_at_n"]
