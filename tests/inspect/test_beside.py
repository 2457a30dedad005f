"""A run of a linear self-attention layer beside its gradient flow: the factor of the clock, and that it follows."""

import numpy as np
import pytest

from iclab.flow import head_flow
from iclab.foundations import InvalidInputError
from iclab.inspect.beside import flow_beside, flow_time, heads_of, layer_of, plateaus_beside, population_of
from iclab.inspect.beside_figure import draw_beside
from iclab.theory import plateau_losses
from iclab.training import preset, read_config, train

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


HEADS = """
import torch
from torch import nn

class Heads(nn.Module):
    def __init__(self, values, keys, queries):
        super().__init__()
        self.values, self.keys, self.queries = (nn.Parameter(torch.tensor(part)) for part in (values, keys, queries))

    def forward(self, xs, ys):
        examples = (ys[..., None] * xs).cumsum(1)[:, :-1]
        counts = torch.arange(1, xs.shape[1], dtype=xs.dtype, device=xs.device)[:, None]
        means = nn.functional.pad(examples / counts, (0, 0, 1, 0))
        V = torch.einsum("h,hrd,hre->de", self.values, self.keys, self.queries)
        return ((means @ V) * xs).sum(-1)
"""
# Of size .05, far enough from both axes that each head takes its own direction.
START = {
    "values": [0.06, 0.05],
    "keys": [[[0.06, 0.01]], [[0.01, 0.06]]],
    "queries": [[[0.06, 0.01]], [[0.01, 0.06]]],
}


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "heads_beside.py").write_text(HEADS)
    monkeypatch.syspath_prepend(tmp_path)
    return {"kind": "own", "object": "heads_beside:Heads", "arguments": START}


def heads(module, **more):
    data = {
        "prompts": {"covariates": {"kind": "gaussian", "spectrum": [1.0, 0.6]}, "tasks": {"kind": "linear"}},
        "model": module,
        "n_train": 8,
        "steps": 480,
        "batch_size": 64,
        "n_evaluation": 128,
        "evaluate_every": 10,
        "optimizer": {**SGD, "learning_rate": 0.05},
        "schedule": {"warmup": 0, "decay": 0.0},
        "loss_at": "query",
        "per_dimension": False,
        "device": "cpu",
        "checkpoints": [],
    }
    return read_config({**data, **more}, allow_code=True)


def test_heads_with_keys_and_queries_apart_leave_their_plateaus_when_they_should(module, tmp_path):
    """The predicted step is that of the exact flow from the same start, and the run's, up to sampling."""
    run = train(heads(module), tmp_path / "run", allow_code=True)
    table = plateaus_beside(run)
    start = heads_of(run.checkpoints()[0])
    np.testing.assert_allclose(start.keys, START["keys"], rtol=1e-6)
    loss = population_of(run.config)
    end = float(flow_time(run.config, run.config.steps))
    flow = head_flow(start, loss.covariates, loss.n_train, end)
    np.testing.assert_allclose(table["error"], plateau_losses(loss.covariates, 8), rtol=1e-9)
    exact = flow.drop_times(table["error"].to_numpy()) / float(flow_time(run.config, 1))
    np.testing.assert_allclose(table["predicted"][:2], exact, rtol=0.1)
    np.testing.assert_allclose(table["step"][:2], exact, rtol=0.25)
    assert np.isnan(table["predicted"][2])


def test_drops_without_a_known_time_say_so(module, tmp_path):
    with pytest.raises(InvalidInputError, match="kind: sgd"):
        plateaus_beside(train(heads(module, steps=1, optimizer={"kind": "adamw"}), tmp_path / "adam", allow_code=True))
    with pytest.raises(InvalidInputError, match="kept its first weights"):
        plateaus_beside(train(heads(module, steps=1, checkpoints=None), tmp_path / "none", allow_code=True))
    with pytest.raises(InvalidInputError, match=r"values \(H,\)"):
        heads_of(train(layer(1, 2, checkpoints=[1]), tmp_path / "layer").checkpoints()[0])
