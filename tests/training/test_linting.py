"""What the linter says, and what a training costs."""

import math

import numpy as np
import pytest

from iclab.models import Transformer
from iclab.training import PRESETS, Run, preset, read_config, train
from iclab.training.cost import Cost, _size, counted_steps, cumulated_cost, duration, estimate_cost
from iclab.training.drawing import draw_losses
from iclab.training.linting import lint
from iclab.training.reporting import reference_lines


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_clean_but_for_positions_left_for_the_test(name):
    config = preset(name, dimension=5, n_train=18)
    remarks = [remark for remark in lint(config) if "exist but are never trained" not in remark]
    assert remarks == []
    assert lint(preset(name, dimension=5, n_train=18, max_points=19)) == []


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (
            {"curriculum.points": {"start": 3, "end": 19, "every": 400, "begin": 0}},
            "Positions 10 to 18 are never trained",
        ),
        ({"curriculum.dimensions": {"start": 1, "end": 5, "every": 1000}}, "Dimensions 4 to 5 are never seen"),
        ({"curriculum.dimensions.every": 700}, "The curriculum ends at step 2800 of 3000"),
        ({"schedule.warmup": 5000}, "outlasts the run"),
        ({"optimizer.matrix_learning_rate": 0.02}, "never left the plateau"),
        ({"loss_at": "query"}, "one context length only"),
        ({"compile": True}, "slower on CPUs"),
        (
            {"prompts.tasks": {"kind": "finite_pool", "n_tasks": 4, "dimension": 5}},
            "Bayes predictor is fitted directly",
        ),
    ],
)
def test_what_is_odd_is_said(overrides, sentence):
    config = read_config(preset("tiny", dimension=5, n_train=18, max_points=19).as_dict(), overrides)
    assert [remark for remark in lint(config) if sentence in remark]


def test_cost_counts_prompts_and_products():
    config = preset(
        "tiny", dimension=2, n_train=4, steps=50, batch_size=8, curriculum={"dimensions": None, "points": None}
    )
    cost = estimate_cost(config)
    # Per token 12·w² weights in each of 3 blocks; 2P − 1 = 9 tokens; forward once, backward twice.
    assert cost.sequences == 400
    assert cost.products == 3 * 12 * 64**2 * 3 * 9 * 400
    assert 0 < cost.seconds < 600
    assert cost.step_seconds == pytest.approx(cost.seconds / 50)
    assert "about 2.0 h on this machine (50 ms for a step" in str(Cost(1.0, 1.0, 7200.0, 0.05))
    assert [duration(seconds) for seconds in (5, 100, 1e5)] == ["5 s", "2 min", "27.8 h"]


def test_only_what_grows_with_prompts_is_scaled_up(monkeypatch):
    monkeypatch.setattr("iclab.training.cost._seconds", lambda config, state, step, size: 0.5 + 0.01 * size)
    config = preset("small", dimension=20, n_train=40, batch_size=256)
    assert estimate_cost(config).step_seconds == pytest.approx(0.5 + 0.01 * 256)


@pytest.mark.parametrize(
    "change",
    [
        {"steps": 10**12},
        {"batch_size": 10**6},
        {"batch_size": 10**12},
        {"model.width": 4096},
        {"model.layers": 10_000},
        {"n_train": 10**6},
        {"steps": 10**12, "curriculum.points": {"start": 1, "end": 41, "every": 10**10}},
    ],
    ids=str,
)
def test_absurd_sizes_are_counted_at_once(soon, change):
    config = read_config({"preset": "tiny"}, change)
    with soon():
        cost = estimate_cost(config)
    assert cost.products > 1e13
    assert math.isfinite(cost.seconds) == (set(change) <= {"steps", "batch_size", "curriculum.points"})


@pytest.mark.parametrize("mixers", [(), ("delta", "softmax", "lstm")])
def test_what_is_counted_is_what_a_model_of_that_size_has(mixers):
    config = preset("tiny", dimension=2, n_train=4, steps=1, model={"layers": 3, "mixers": mixers})
    model = Transformer(config.architecture, seed=None)
    assert _size(config.architecture) == (model.products, model.n_parameters)


def test_costs_of_many_steps_are_sampled_evenly():
    config = preset("tiny", steps=60_000, curriculum={"points": {"start": 1, "end": 41, "every": 1000}})
    exact = np.cumsum([config.cost_at(step) for step in range(config.steps)])
    steps, costs = cumulated_cost(config)
    found = np.interp(np.arange(1, config.steps + 1), steps, costs)
    np.testing.assert_allclose(found, exact, atol=1e-3 * exact[-1])
    assert counted_steps(3) == ([0, 1, 2], 1.0)


@pytest.mark.parametrize(
    "noise",
    [{"noise": 0.5}, *({"outliers": {"probability": 0.25, "scale": 1.0, "whole": whole}} for whole in (False, True))],
)
def test_reference_lines_are_those_of_the_loss(noise, tmp_path):
    """With labels and the query's loss: zero's is E y²/d, least squares' its error plus the noise."""
    config = preset(
        "lsa", dimension=2, n_train=6, steps=20, batch_size=512, prompts=noise, n_evaluation=4000, log_every=20
    )
    run = train(config, tmp_path)
    zero, least_squares = reference_lines(config, run.metrics)
    assert zero == pytest.approx((2 + 0.25) / 2, rel=0.1)
    # Noisy least squares: s²d/(M − d − 1) beside the noise itself.
    assert least_squares == pytest.approx((0.25 * 2 / 3 + 0.25) / 2, rel=0.15)
    assert reference_lines(preset("tiny"), run.metrics)[1] == 0
    noisy = preset("tiny", prompts={"outliers": {"probability": 0.5, "scale": 1.0, "whole": True}})
    assert math.isnan(reference_lines(noisy, run.metrics)[1])
    # All positions: as many noisy examples as dimensions give least squares an infinite mean error.
    assert math.isnan(reference_lines(config.with_(loss_at="all_positions"), run.metrics)[1])


def test_a_run_is_drawn_while_it_is_young(tmp_path):
    config = preset("tiny", dimension=2, n_train=4, steps=10, batch_size=4, n_evaluation=4, model={"width": 8})
    train(config, tmp_path / "run")
    metrics = tmp_path / "run" / "metrics.jsonl"
    metrics.write_text("".join(metrics.read_text().splitlines(keepends=True)[:1]) + '{"step": 2, "lo')
    draw_losses(Run.open(tmp_path / "run"), tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "changes",
    [
        {"covariates": {"kind": "wishart", "dimension": 2048, "degrees": 4096}},
        {"covariates": {"kind": "gaussian", "dimension": 4096}},
        {"prompts.tasks": {"kind": "relu_network", "hidden": 200_000}, "targets": "labels"},
        {"prompts.tasks": {"kind": "finite_pool", "n_tasks": 100_000, "dimension": 5}, "targets": "labels"},
        {"model.layers": 10_000},
        {"model.loops": 10_000},
        {"max_points": 10_000_000},
        {"batch_size": 1e9, "steps": 1e12, "n_evaluation": 1e12},
        {"checkpoints": {"spacing": "log", "count": 100_000}, "steps": 1e12},
        {"curriculum.points": {"start": 1, "end": 10_000, "increment": 1, "every": 1}, "n_train": 9_999},
    ],
    ids=str,
)
def test_absurd_laws_are_read_and_counted_at_once(soon, changes):
    with soon():
        config = read_config({"preset": "tiny"}, changes)
        cost = estimate_cost(config)
        lint(config)
    assert cost.sequences == config.steps * config.batch_size
