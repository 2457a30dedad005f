"""A run of a linear self-attention layer beside its gradient flow: the factor of the clock, and that it follows."""

import numpy as np
import pytest

from iclab.foundations import InvalidInputError
from iclab.inspect.beside import flow_beside, flow_time, layer_of, plateaus_beside, population_of
from iclab.inspect.beside_figure import draw_beside
from iclab.training import preset, train

SGD = {"kind": "sgd", "learning_rate": 0.05, "momentum": 0.0, "clip": None}
LAW = {"kind": "gaussian", "spectrum": [1.0, 0.4]}


def layer(steps, batch, *, n_train=6, **more):
    data = {"optimizer": SGD, "schedule": {"warmup": 0, "decay": 0.0}, "precision": "float64", "n_evaluation": 2}
    return preset("lsa", dimension=2, n_train=n_train, steps=steps, batch_size=batch, covariates=LAW, **(data | more))


@pytest.mark.parametrize("loss_at", ["query", "all_positions"])
@pytest.mark.parametrize("per_dimension", [True, False])
def test_one_step_goes_down_the_gradient_for_the_time_of_the_clock(tmp_path, loss_at, per_dimension):
    """The mean step over 20 000 prompts, noise and prior included, along the exact gradient and beside it."""
    prompts = {"tasks": {"kind": "linear", "weight_covariance": [[1.0, 0.3], [0.3, 0.5]]}, "noise": 0.5}
    config = layer(
        1,
        20_000,
        loss_at=loss_at,
        per_dimension=per_dimension,
        prompts=prompts,
        checkpoints=[1],
        targets="posterior_mean",
    )
    before, after = (layer_of(each) for each in train(config, tmp_path).checkpoints())
    exact = -population_of(config).gradient(before).vector * flow_time(config, 1)
    moved = after.vector - before.vector
    assert moved @ exact / (exact @ exact) == pytest.approx(1, abs=0.02)
    assert np.linalg.norm(moved - exact) < 0.08 * np.linalg.norm(exact)


def test_a_run_follows_its_flow(tmp_path):
    config = layer(
        200,
        128,
        optimizer={**SGD, "learning_rate": 0.04},
        checkpoints={"count": 12},
        targets="posterior_mean",
        per_dimension=False,
    )
    run = train(config, tmp_path / "run")
    table = flow_beside(run)
    gain = table["run"].iloc[0] - table["minimum"]
    assert (table["run"] - table["flow"]).abs().max() < 0.05 * gain.iloc[0]
    assert table["flow"].iloc[-1] - table["minimum"].iloc[-1] < 0.1 * gain.iloc[0]
    assert table["distance"].max() < 0.15
    # On another clock it does not: twice as slow, errors are elsewhere in between.
    slow = np.interp(table["time"] / 2, table["time"], table["flow"])
    assert np.abs(table["run"] - slow).max() > 0.15 * gain.iloc[0]
    draw_beside(run, tmp_path / "beside.svg")
    assert "gradient flow" in (tmp_path / "beside.svg").read_text()


def test_the_clock_adds_up_rates_and_momentum():
    config = layer(100, 4, per_dimension=False)
    np.testing.assert_allclose(flow_time(config, [0, 1, 100]), [0, 2 * 0.05, 2 * 0.05 * 100])
    heavy = layer(100, 4, per_dimension=False, optimizer={**SGD, "momentum": 0.9})
    np.testing.assert_allclose(flow_time(heavy, 7), 10 * flow_time(config, 7))
    warm = layer(100, 4, per_dimension=False, schedule={"warmup": 50, "decay": 0.5})
    shares = [warm.schedule.at(step, 100) for step in range(100)]
    np.testing.assert_allclose(flow_time(warm, 60), 0.1 * sum(shares[:60]))


def test_what_has_no_clock_says_so(tmp_path):
    with pytest.raises(InvalidInputError, match="kind: sgd"):
        flow_time(preset("lsa", dimension=2, steps=2), 1)
    with pytest.raises(InvalidInputError, match="from 0 to 100"):
        flow_time(layer(100, 4), [101])
    with pytest.raises(InvalidInputError, match="linear"):
        population_of(layer(2, 4, prompts={"tasks": {"kind": "quadratic"}}))
    with pytest.raises(InvalidInputError, match="kept checkpoints"):
        flow_beside(train(layer(1, 4), tmp_path))


def test_plateaus_stand_beside_the_held_out_errors(tmp_path):
    config = layer(60, 64, evaluate_every=20, n_evaluation=64)
    run = train(config, tmp_path)
    table = plateaus_beside(run)
    errors = run.evaluations()
    assert table["error"].iloc[0] == pytest.approx(1.4)  # tr Λ: nothing is learned
    assert (table["error"].diff().dropna() < 0).all()
    assert set(table["measured"]) <= set(errors.loc[errors["position"] == 6, "mean"])
    assert len(table) == 3
