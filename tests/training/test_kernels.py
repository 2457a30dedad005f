"""By which kernels a training's mixers read is decided once, with the precision, and kept."""

import pytest
import torch
import yaml

import iclab.training.precision as precision_module
from iclab.foundations import InvalidInputError
from iclab.models.mixers import kernels
from iclab.training import Run, preset, read_config, train
from iclab.training.card import page_of
from iclab.training.config import write_yaml
from iclab.training.precision import decided
from tests.models.kernels_by_token import stand_in

FLA = {"kernels": "fla"}


def configuration(mixer="gated_delta", **changes):
    model = {"width": 16, "layers": 2, "heads": 2, "mixers": [mixer]}
    small = {"dimension": 3, "n_train": 6, "steps": 6, "batch_size": 8, "n_evaluation": 16, "checkpoint_every": 3}
    return preset("tiny", **small, **{"model": model, "precision": "bfloat16", "evaluate_every": 3, **changes})


@pytest.fixture
def gpu(monkeypatch):
    """A machine with a GPU, in name, and with the package or without it."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    monkeypatch.setattr(precision_module, "missing", lambda: None)

    def without():
        monkeypatch.setattr(precision_module, "missing", lambda: "no package")

    return without


def test_kernels_are_taken_in_bfloat16_on_a_gpu_with_the_package(gpu):
    config = configuration()
    assert config.undecided
    assert decided(config).kernels == "fla"
    assert not decided(config).undecided
    assert decided(decided(config)) == decided(config)
    assert decided(configuration(kernels="own")).kernels == "own"
    assert decided(configuration(device="cpu")).kernels == "own"
    assert decided(configuration(precision="float32")).kernels == "own"
    assert decided(configuration(compile=True)).kernels == "own"
    gpu()
    assert decided(config).kernels == "own"


@pytest.mark.parametrize("mixer", ["softmax", "mesa", "lstm"])
def test_models_without_such_mixers_leave_it_open(gpu, mixer):
    assert decided(configuration(mixer)) == configuration(mixer, **decided_precisions(mixer))
    assert "kernels" not in decided(configuration(mixer)).as_dict()


def decided_precisions(mixer):
    return {"optimizer": {"matrix_precision": decided(configuration(mixer)).optimizer.matrix_precision}}


@pytest.mark.parametrize("changes", [{"precision": "float32"}, {"device": "cpu"}, {"compile": True}])
def test_what_kernels_do_not_go_with_is_refused_in_one_sentence(changes):
    with pytest.raises(InvalidInputError, match=r"^[^\n]*kernels 'fla'[^\n]*\.$"):
        configuration(**FLA, **changes)


def test_they_are_refused_where_there_are_none_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InvalidInputError, match="no GPU was found"):
        train(configuration(**FLA), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.fixture
def by_token(monkeypatch):
    """Kernels that are there and run on the CPU."""
    calls = []
    stand_in(monkeypatch, calls)
    monkeypatch.setattr(kernels, "missing", lambda: None)
    monkeypatch.setattr(kernels, "DTYPE", torch.float32)
    return calls


def test_steps_use_them_and_evaluations_do_not(by_token, tmp_path):
    run = train(configuration(**FLA), tmp_path / "kernels")
    assert len(by_token) == 2 * 6  # layers times steps
    own = train(configuration(kernels="own"), tmp_path / "own")
    assert len(by_token) == 2 * 6
    assert "kernels of flash-linear-attention" in page_of("name", run.config, run.card, 1)
    assert "kernels" not in page_of("name", own.config, own.card, 1)
    losses, others = ([line["loss"] for line in each.metrics if "loss" in line] for each in (run, own))
    assert losses == pytest.approx(others, rel=1e-2)  # products in bfloat16


def test_a_run_goes_on_with_those_it_began_with(by_token, outcome, tmp_path, monkeypatch):
    whole = train(configuration(**FLA), tmp_path / "whole")
    train(configuration(**FLA), tmp_path / "moved", until=lambda line: line["step"] >= 3)
    assert outcome(train(configuration(), tmp_path / "moved")) == outcome(whole)
    train(configuration(**FLA), tmp_path / "stopped", until=lambda line: line["step"] >= 3)
    monkeypatch.setattr(kernels, "missing", lambda: "no GPU was found")
    with pytest.raises(InvalidInputError, match="no GPU was found"):
        train(configuration(), tmp_path / "stopped")
    assert Run.open(tmp_path / "stopped").step == 3


def test_a_run_of_an_earlier_version_goes_on_with_our_chunks(gpu, tmp_path):
    data = yaml.safe_load(write_yaml(configuration(kernels="own")))
    assert data.pop("kernels") == "own"
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(data))
    assert read_config(tmp_path / "config.yaml").kernels == "auto"
    assert Run.open(tmp_path).config.kernels == "own"
