"""Rules for N(0, I) integrate what they say that they do."""

import numpy as np
import pytest

from iclab.theory.cubature import symmetric_rule, tensor_rule


@pytest.mark.parametrize("dimension", [1, 2, 3, 7])
def test_symmetric_rule_integrates_degree_five(dimension: int) -> None:
    nodes, weights = symmetric_rule(dimension)
    assert weights.sum() == pytest.approx(1)
    for powers, moment in (
        ((2,), 1),
        ((4,), 3),
        ((2, 2), 1),
        ((1, 3), 0),
        ((5,), 0),
        ((1, 1, 2), 0),
        ((1, 1, 1, 1), 0),
    ):
        if len(powers) <= dimension:
            values = np.prod([nodes[:, i] ** power for i, power in enumerate(powers)], axis=0)
            assert weights @ values == pytest.approx(moment, abs=1e-12)


def test_tensor_rule_integrates_each_variable() -> None:
    nodes, weights = tensor_rule(2, 5)
    assert weights @ (nodes[:, 0] ** 8 * nodes[:, 1] ** 6) == pytest.approx(105 * 15)
