"""The study of asymptotics: depth by moments in whole numbers, and intercepts of exact lines."""

from fractions import Fraction
from math import comb

import numpy as np
import pandas as pd
import pytest

from iclab.studies.asymptotics.published import depths, published
from iclab.studies.asymptotics.simulations import CELLS, intercepts, simulated, tasks


def _moment(order, ratio):
    """E λ^order of the Marchenko-Pastur law, by Narayana numbers."""
    if order == 0:
        return Fraction(1)
    return sum(ratio**r * Fraction(comb(order, r) * comb(order - 1, r), r + 1) for r in range(order))


def test_four_tied_layers_in_whole_numbers():
    """The mean of (1 − 2λ/3)⁸ at α = 2, where γ = 8/3 is the best rate."""
    exact = sum(comb(8, k) * Fraction(-2, 3) ** k * _moment(k, Fraction(1, 2)) for k in range(9))
    assert exact == Fraction(181, 2187)
    [row] = depths((2.0,), (4,)).to_dict("records")
    assert [row["tied"], row["tied_integral"]] == pytest.approx([float(exact)] * 2, rel=1e-9)
    assert row["rate"] == pytest.approx(8 / 3)


def test_what_is_printed_is_compared_in_units_of_its_last_digit():
    rows = published()
    assert (rows["gap"] * rows["unit"]).to_numpy() == pytest.approx((rows["ours"] - rows["printed"]).abs().to_numpy())
    assert set(rows["unit"]) == {1e-3, 1e-4}


def test_the_intercept_of_an_exact_line_is_its_limit():
    rows = pd.DataFrame([{**CELLS[0]._asdict(), "error": "icl", "limit": 2.0, "dimension": d} for d in (4, 8, 16)])
    rows = rows.assign(value=2 + 3 / rows["dimension"], stderr=0.1, n=9)
    [found] = intercepts(rows).to_dict("records")
    assert found["intercept"] == pytest.approx(2)
    assert found["z"] == pytest.approx(0, abs=1e-9)
    assert found["over"] == pytest.approx((2 + 3 / 16) / 2)


@pytest.mark.slow
def test_estimates_of_one_line_are_independent():
    """Fits in 4 and 8 dimensions, of the same seed, do not move together."""
    cell = CELLS[-1]
    pairs = [[float(simulated(cell, d, 2, 100 * seed)["value"].iloc[1]) for d in (4, 8)] for seed in range(60)]
    assert abs(np.corrcoef(np.array(pairs).T)[0, 1]) < 4 / np.sqrt(60)


def test_spectra_of_tasks_have_mean_one_and_blocks():
    C = np.diagonal(tasks(1.0, 8))
    assert C.mean() == pytest.approx(1)
    assert C[::2] == pytest.approx(C[1::2])
    assert C[0] / C[-1] == pytest.approx(4)
