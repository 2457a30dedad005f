"""Going on: more steps than configured, signals that save, files that disappear."""

import hashlib
import json
import os
import shutil
import signal
from dataclasses import replace

import pytest
import torch

from iclab.foundations import InvalidInputError
from iclab.models import Architecture, Transformer, save_model
from iclab.training import Run, preset, read_config, train
from iclab.training.continuing import extend, initial_weights
from iclab.training.metrics import METRICS, read_metrics

SMALL = {
    "dimension": 2,
    "n_train": 4,
    "batch_size": 4,
    "n_evaluation": 4,
    "model": {"width": 16, "layers": 1},
    "schedule": {"warmup": 2, "decay": 0.0},
    "curriculum": {"dimensions": None, "points": None, "examples_per_dimension": None},
    "log_every": 2,
    "evaluate_every": 4,
    "checkpoint_every": 4,
}


def weights(run):
    return run.predictor().model.state_dict()


def test_more_steps_end_where_as_many_from_the_start_end(tmp_path):
    whole = train(preset("tiny", steps=12, **SMALL), tmp_path / "whole")
    train(preset("tiny", steps=6, **SMALL), tmp_path / "parts")
    longer = extend(tmp_path / "parts", 12)
    found = train(longer.config, tmp_path / "parts")
    for key, value in weights(whole).items():
        assert torch.equal(value, weights(found)[key])
    assert [line["step"] for line in found.metrics if "loss" in line] == [2, 4, 6, 8, 10, 12]
    with pytest.raises(InvalidInputError, match="at least the 12"):
        extend(tmp_path / "parts", 8)


def test_a_rate_that_has_fallen_is_not_raised_again(tmp_path):
    train(preset("tiny", steps=6, **{**SMALL, "schedule": {"decay": 0.5}}), tmp_path / "run")
    with pytest.raises(InvalidInputError, match="begun to fall"):
        extend(tmp_path / "run", 12)


@pytest.fixture
def every_step(monkeypatch):
    """Progress is reported at every step, however fast the machine."""
    monkeypatch.setattr("iclab.training.reporting._SECONDS_BETWEEN_REPORTS", 0.0)


@pytest.mark.usefixtures("every_step")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"])
def test_signals_save_and_the_run_goes_on_as_if_nothing_had_been(tmp_path, name):
    config = preset("tiny", steps=8, **SMALL)
    whole = train(config, tmp_path / "whole")

    sent = []

    def interrupt(*_):
        if not sent:  # a second one would act as usual
            sent.append(os.kill(os.getpid(), getattr(signal, name)))

    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "run", progress=interrupt)
    found = train(config, tmp_path / "run")
    for key, value in weights(whole).items():
        assert torch.equal(value, weights(found)[key])


@pytest.mark.usefixtures("every_step")
@pytest.mark.parametrize("gone", ["metrics.jsonl", "config.yaml", "."])
def test_files_that_disappear_are_noticed(tmp_path, gone):
    config = preset("tiny", steps=40, **SMALL)

    def remove(*_):
        path = tmp_path / "run" / gone
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)

    with pytest.raises((InvalidInputError, OSError), match=r"deleted or moved|No such file"):
        train(config, tmp_path / "run", progress=remove)


def test_only_the_last_line_of_metrics_may_be_torn(tmp_path):
    run = train(preset("tiny", steps=8, **SMALL), tmp_path / "run")
    path = tmp_path / "run" / METRICS
    text = path.read_text()
    path.write_text(text + '{"step": 9, "lo')
    assert read_metrics(path) == run.metrics
    path.write_text('{"ste' + text[3:])
    with pytest.raises(InvalidInputError, match="line 1 is damaged"):
        read_metrics(path)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A run that was ended at step 8 of 16, with a line of metrics at every second step; and its whole sibling."""
    root = tmp_path_factory.mktemp("stopped")
    config = preset("tiny", steps=16, **SMALL)
    train(config, root / "run", until=lambda line: line["step"] == 8)
    train(config, root / "whole")
    return root, config


def untimed(run):
    return [{key: line[key] for key in line if not key.endswith("seconds")} for line in run.metrics]


@pytest.mark.parametrize(
    "kept", [slice(0, -1), slice(0, 1), slice(1, None), slice(0, 0), slice(None, None, -1)], ids=str
)
def test_missing_lines_of_metrics_are_noticed(stopped, tmp_path, kept):
    root, config = stopped
    shutil.copytree(root / "run", tmp_path / "run")
    path = tmp_path / "run" / METRICS
    path.write_text("".join(path.read_text().splitlines(keepends=True)[kept]))
    for read in (lambda: Run.open(tmp_path / "run").metrics, lambda: train(config, tmp_path / "run")):
        with pytest.raises(
            InvalidInputError, match=r"metrics\.jsonl must hold the 6 lines that were written up to step 8"
        ):
            read()


def test_metrics_may_be_given_up_by_deleting_them(stopped, tmp_path, caplog):
    root, config = stopped
    shutil.copytree(root / "run", tmp_path / "run")
    (tmp_path / "run" / METRICS).unlink()
    found = train(config, tmp_path / "run")
    assert any("is gone, with the 6 lines" in record.getMessage() for record in caplog.records)
    caplog.clear()
    assert untimed(found) == untimed(Run.open(root / "whole"))[6:]
    assert not caplog.records
    for key, value in weights(found).items():
        assert torch.equal(value, weights(Run.open(root / "whole"))[key])


@pytest.mark.parametrize("cut", [1, 20])
def test_a_torn_last_line_is_left_out_of_what_a_resumed_run_says(stopped, tmp_path, cut):
    """Crashes tear no line that a checkpoint knows of, but a disk may: what is left goes on being checked."""
    root, config = stopped
    shutil.copytree(root / "run", tmp_path / "run")
    path = tmp_path / "run" / METRICS
    path.write_bytes(path.read_bytes()[:-cut])
    lines = untimed(Run.open(root / "whole"))
    assert untimed(Run.open(tmp_path / "run")) == lines[: 6 if cut == 1 else 5]
    found = train(config, tmp_path / "run")
    assert untimed(found) == (lines if cut == 1 else lines[:5] + lines[6:])


def test_a_run_of_a_version_without_a_record_is_read(stopped, tmp_path):
    root, config = stopped
    shutil.copytree(root / "run", tmp_path / "run")
    for folder in (tmp_path / "run" / "checkpoints").iterdir():
        state, manifest = folder / "state.json", folder / "manifest.json"
        content = json.loads(state.read_text())
        del content["metrics"]
        before = hashlib.sha256(state.read_bytes()).hexdigest()
        state.write_text(json.dumps(content))
        manifest.write_text(manifest.read_text().replace(before, hashlib.sha256(state.read_bytes()).hexdigest()))
    assert untimed(train(config, tmp_path / "run")) == untimed(Run.open(root / "whole"))


def test_a_training_begins_from_given_weights(tmp_path):
    first = train(preset("tiny", steps=4, **SMALL), tmp_path / "first")
    still = {"kind": "sgd", "learning_rate": 1e-30, "momentum": 0.0}
    config = preset("tiny", steps=4, **{**SMALL, "optimizer": still}, init_from=str(tmp_path / "first"))
    again = train(config, tmp_path / "again")
    for key, value in weights(first).items():
        assert torch.equal(value, weights(again)[key])
    shutil.rmtree(tmp_path / "first")
    assert train(config, tmp_path / "again").finished  # its own checkpoint is all it needs
    with pytest.raises(InvalidInputError, match="no such folder"):
        train(config, tmp_path / "third")
    assert not (tmp_path / "third").exists()
    other = preset("tiny", steps=4, **{**SMALL, "model": {"width": 32, "layers": 1}}, init_from=str(tmp_path / "again"))
    with pytest.raises(InvalidInputError, match="same architecture"):
        train(other, tmp_path / "fourth")


def test_a_training_begins_from_the_mean_of_several_models(tmp_path):
    """Also of a shallower one, which is grown first, so that its own predictions are one end of the line."""
    deep = {**SMALL, "model": {"width": 16, "layers": 2}}
    runs = [train(preset("tiny", steps=4, **sizes), tmp_path / name) for name, sizes in (("one", SMALL), ("two", deep))]
    names = tuple(str(run.directory) for run in runs)
    one, two = (initial_weights(preset("tiny", **deep, init_from=name)) for name in names)
    mean = initial_weights(preset("tiny", **deep, init_from=names))
    for key, value in mean.items():
        assert torch.equal(value, ((one[key].double() + two[key].double()) / 2).to(value.dtype))
    again = initial_weights(preset("tiny", **deep, init_from=names[1:] * 3))
    assert all(torch.equal(again[key], two[key]) for key in two)
    config = preset("tiny", **deep, init_from=names)
    assert read_config(config.as_dict()) == config
    with pytest.raises(InvalidInputError, match="init_from"):
        preset("tiny", init_from=())


@pytest.mark.parametrize("layers", [4, 5, 8])
@pytest.mark.parametrize(
    "parts",
    [
        {"attention": "softmax"},
        {"attention": "linear", "mlp": False},
        {"attention": "merged", "embedding": "stacked", "read_in": "identity", "width": 4, "positions": "none"},
        {"mixers": ("delta",)},
        {"mixers": ("mamba2",), "layer_norm": False},
        {"mixers": ("mesa",), "loops": 2, "inject": True},
    ],
    ids=str,
)
def test_a_model_with_more_layers_begins_as_what_it_grows_from(tmp_path, layers, parts):
    """Its predictions are the same before the first step, and every weight but the new blocks' may move them."""
    shape = {"width": 16, "heads": 1 if "read_in" in parts else 2, **parts}
    config = preset("tiny", dimension=3, n_train=5, max_points=6, model={**shape, "layers": layers}, steps=1)
    model = Transformer(replace(config.architecture, layers=3), seed=1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2)), alpha=0.1)
    save_model(model, tmp_path / "shallow")
    weights = initial_weights(config.with_(init_from=str(tmp_path / "shallow")))
    deep = Transformer(config.architecture, seed=None)
    deep.load_state_dict(weights)
    prompts = config.prompts.build().sample(8, 6, seed=3)
    xs, ys = (torch.from_numpy(part) for part in (prompts.xs, prompts.ys))
    deep, model = deep.double(), model.double()
    assert torch.allclose(deep(xs, ys), model(xs, ys), rtol=1e-12, atol=1e-12)
    deep(xs, ys).square().sum().backward()
    moved = [name for name, parameter in deep.named_parameters() if parameter.grad is not None and parameter.grad.any()]
    assert {name.split(".")[1] for name in moved if name.startswith("blocks")} == {str(i) for i in range(layers)}


@pytest.mark.parametrize(
    "change",
    [{"layers": 1}, {"layers": 3, "width": 32}, {"layers": 3, "mixers": ["gru"]}, {"layers": 3, "residual": False}],
    ids=str,
)
def test_what_cannot_grow_is_refused(tmp_path, change):
    shape = {"dimension": 2, "max_points": 5, "width": 16, "heads": 2}
    also = {key: change[key] for key in ("mixers", "residual") if key in change}
    save_model(Transformer(Architecture(layers=2, **shape, **also)), tmp_path / "two")
    config = preset("tiny", dimension=2, n_train=4, max_points=5, model={**shape, **change}, steps=1)
    with pytest.raises(InvalidInputError, match="fewer layers"):
        initial_weights(config.with_(init_from=str(tmp_path / "two")))
