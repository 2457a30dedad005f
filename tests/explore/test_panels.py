"""Panels of the explorer show what closed forms say, at every corner of their sliders."""

import itertools

import numpy as np
import pytest

from iclab.explore import PANELS
from iclab.explore.pictures import picture
from iclab.explore.prompt import ask, lines
from iclab.foundations import InvalidInputError
from iclab.theory import expected_risk

BY_NAME = {panel.name: panel for panel in PANELS}


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.name)
def test_every_corner_of_the_sliders_can_be_drawn(panel):
    for corner in itertools.product(*((slider.steps[0], slider.steps[-1]) for slider in panel.sliders)):
        results = panel.compute(dict(zip((slider.name for slider in panel.sliders), corner, strict=True)))
        assert np.all(np.isfinite(results[panel.lines[0].result]))
        rows = picture(panel, results).chart["data"]["values"]
        first = panel.lines[0]
        assert np.size(results[first.result]) == 1 or first.label in {row["line"] for row in rows}


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.name)
def test_a_number_that_a_slider_does_not_have_is_refused(panel):
    with pytest.raises(InvalidInputError, match=r"^n_train of .* must be one of .*; got 7\.$"):
        panel.fill(panel.settings | {"n_train": 7})


def test_the_floor_is_the_risk_of_the_learner_on_an_endless_context():
    results = BY_NAME["risk"].compute(BY_NAME["risk"].settings)
    values = 1 / np.arange(1, 6)
    weights = 1 / ((1 + 1 / 20) * values + values.sum() / 20)
    assert results["floor"] == pytest.approx(np.sum(values * (1 - weights * values) ** 2), rel=1e-12)


def test_without_noise_the_minimiser_is_gamma_inverse():
    settings = BY_NAME["learner"].settings
    assert BY_NAME["learner"].compute(settings)["difference"] < 1e-12
    assert BY_NAME["learner"].compute(settings | {"noise": 1})["difference"] > 0.01


def test_the_flow_stays_below_the_bound_where_there_is_one():
    panel = BY_NAME["flow"]
    below = panel.compute(panel.settings)
    assert below["guaranteed"]
    assert np.all(below["excess"] <= below["bound"] * (1 + 1e-9))
    assert not panel.compute(panel.settings | {"scale": 0.8, "dimension": 50, "decay": 0})["guaranteed"]


def test_unscaled_inputs_have_the_expected_risk():
    panel = BY_NAME["shift"]
    results = panel.compute(panel.settings)
    middle = results["factors"].size // 2
    assert results["factors"][middle] == pytest.approx(1)
    risk = expected_risk(results["covariates"], n_train=20, n_test=40)
    assert results["layer"][middle] * results["eigenvalues"].sum() == pytest.approx(risk, rel=1e-12)


def test_least_squares_follows_a_dragged_label_by_its_influence():
    before = ask("linear-columns-d20-identity", 30, 0, {})
    after = ask("linear-columns-d20-identity", 30, 0, {4: 5.0})
    xs, query = before["drawn"].xs[0, :30], before["drawn"].queries[0, 30]
    influence = query @ np.linalg.solve(xs.T @ xs, xs[4])
    moved = after["answers"]["least squares"] - before["answers"]["least squares"]
    assert moved == pytest.approx(influence * (5.0 - before["drawn"].ys[0, 4]), rel=1e-9)
    assert after["answers"]["linear-columns-d20-identity"] != before["answers"]["linear-columns-d20-identity"]


@pytest.mark.parametrize(("model", "n"), [("gpt5", 10), ("gpt2-d20-identity", 41), ("gpt2-d20-identity", 0)])
def test_a_prompt_that_no_model_reads_is_refused(model, n):
    with pytest.raises(InvalidInputError):
        lines(model, n, 0, {})
