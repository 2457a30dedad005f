"""What a configuration leaves to the machine is decided once, for a reason, and kept."""

import platform

import pytest
import torch
import yaml

import iclab.training.precision as precision_module
from iclab.training import Run, preset, read_config, train
from iclab.training.card import page_of
from iclab.training.precision import Reason, bfloat16_speedup, choices, decided, has_bfloat16
from iclab.training.step import new_state

FIELD = "optimizer.matrix_precision"


@pytest.fixture
def processor(monkeypatch):
    """A processor that has instructions for bfloat16 or not, and multiplies at some ratio of speeds."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    def be(instructions=True, speedup=2.0):
        def measured(width):
            assert speedup is not None, "measured although the answer was known"
            return speedup

        monkeypatch.setattr(precision_module, "has_bfloat16", lambda: instructions)
        monkeypatch.setattr(precision_module, "bfloat16_speedup", measured)

    be()
    return be


@pytest.mark.parametrize(
    ("machine", "level", "capabilities", "answer"),
    [
        ("x86_64", "AVX512", {"avx512_bf16": True, "amx_bf16": False}, True),
        ("AMD64", "AVX512", {"avx512_bf16": True, "amx_bf16": True}, True),
        ("x86_64", "AVX512", {"avx512_bf16": False, "amx_bf16": False}, False),
        ("x86_64", "AVX2", {"avx512_bf16": False, "amx_bf16": False}, False),
        ("x86_64", "AVX2", {"avx512_bf16": True, "amx_bf16": False}, False),  # there, but the environment forbids it
        ("x86_64", "DEFAULT", {}, False),
        ("x86_64", "AVX512", {}, True),  # a torch that does not tell: to be measured
        ("arm64", "DEFAULT", {}, True),
    ],
)
def test_instructions_are_those_that_torch_may_use(monkeypatch, machine, level, capabilities, answer):
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: level)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert has_bfloat16() is answer


D20 = {"dimension": 20, "n_train": 40}


@pytest.mark.parametrize(
    ("instructions", "speedup", "precision", "reason"),
    [
        (True, 2.0, "bfloat16", Reason.FASTER),
        (True, 1.21, "bfloat16", Reason.FASTER),
        (True, 1.2, "float32", Reason.NOT_FASTER),
        (True, 0.1, "float32", Reason.NOT_FASTER),
        (False, None, "float32", Reason.NO_INSTRUCTIONS),
    ],
)
def test_bfloat16_is_taken_where_it_is_clearly_faster(processor, instructions, speedup, precision, reason):
    processor(instructions, speedup)
    config = preset("columns", **D20)
    assert config.undecided
    for choice in choices(config).values():
        assert (choice.precision, choice.reason, choice.speedup) == (precision, reason, speedup)
    assert (decided(config).precision, decided(config).optimizer.matrix_precision) == (precision, precision)
    assert not decided(config).undecided
    assert decided(decided(config)) == decided(config)


@pytest.mark.parametrize(
    ("name", "given", "precision", "matrix"),
    [
        ("columns", {"dimension": 2, "n_train": 4, "model": {"width": 64}}, "float32", "float32"),
        ("columns", {"dimension": 10, "n_train": 20, "model": {"width": 64}}, "bfloat16", "float32"),
        ("columns", {"dimension": 10, "n_train": 20, "model": {"width": 32}}, "float32", "float32"),
        ("small", {"dimension": 5, "n_train": 10}, "bfloat16", "bfloat16"),
        ("small", {"dimension": 5, "n_train": 10, "precision": "float32"}, "float32", "bfloat16"),
        ("base", {"dimension": 5, "n_train": 10, "optimizer": {"matrix_precision": "float32"}}, "bfloat16", "float32"),
        ("small", {"precision": "float64"}, "float64", "float64"),
        ("lsa", {}, "float32", None),
        ("garg-linear", {}, "float32", None),
    ],
)
def test_small_products_stay_in_float32_and_what_is_given_is_kept(processor, name, given, precision, matrix):
    chosen = choices(preset(name, **given))
    assert chosen["precision"].precision == precision
    assert (chosen[FIELD].precision if FIELD in chosen else None) == matrix


@pytest.mark.parametrize("native", [True, False])
def test_a_gpu_is_asked_what_it_has(processor, monkeypatch, native):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native)
    processor(False, None)
    config = preset("columns", **D20)
    assert decided(config).precision == ("bfloat16" if native else "float32")
    assert decided(config.with_(device="cpu")).precision == "float32"


def test_a_measurement_is_one_for_the_process_and_leaves_the_threads():
    threads = torch.get_num_threads()
    first = bfloat16_speedup(64)
    assert first > 0
    assert bfloat16_speedup(64) == first
    assert torch.get_num_threads() == threads


def test_an_undecided_training_has_no_first_step():
    with pytest.raises(ValueError, match="must be decided"):
        new_state(preset("columns", **D20))


LARGE = {
    "dimension": 4,
    "n_train": 8,
    "steps": 12,
    "model": {"width": 128, "layers": 1},
    "n_evaluation": 16,
    "log_every": 2,
    "checkpoint_every": 4,
}


def interrupted(config, directory):
    """Trained until the evaluation of step 6."""
    run = train(config, directory, until=lambda line: line["step"] >= 6)
    assert run.step == 6


def test_a_run_goes_on_elsewhere_as_it_began(processor, outcome, tmp_path):
    config = preset("small", **LARGE, evaluate_every=6)
    whole = train(config, tmp_path / "whole")
    interrupted(config, tmp_path / "moved")
    processor(False, None)  # another machine
    moved = train(config, tmp_path / "moved")
    assert outcome(moved) == outcome(whole)
    assert (moved.config.precision, moved.config.optimizer.matrix_precision) == ("bfloat16", "bfloat16")
    other = train(config, tmp_path / "other")
    assert (other.config.precision, other.config.optimizer.matrix_precision) == ("float32", "float32")
    assert outcome(other) != outcome(whole)
    # The run's own file says what was decided, and trains the same anywhere.
    assert outcome(train(read_config(tmp_path / "whole" / "config.yaml"), tmp_path / "again")) == outcome(whole)


def test_a_run_of_an_earlier_version_goes_on_as_it_began(processor, outcome, tmp_path):
    """Its configuration does not know the field; Newton-Schulz was in bfloat16 always."""
    config = preset("small", **LARGE, evaluate_every=6, precision="float32")
    whole = train(read_config(config.as_dict(), {FIELD: "bfloat16"}), tmp_path / "whole")
    interrupted(config, tmp_path / "earlier")
    file = tmp_path / "earlier" / "config.yaml"
    data = yaml.safe_load(file.read_text())
    assert data["optimizer"].pop("matrix_precision") == "bfloat16"
    file.write_text(yaml.safe_dump(data))
    processor(False, None)
    assert outcome(train(config, tmp_path / "earlier")) == outcome(whole)


def test_digests_of_configurations_that_leave_it_open_are_those_of_earlier_versions():
    assert "matrix_precision" not in preset("small").as_dict()["optimizer"]


def test_the_card_says_what_was_decided(processor, tmp_path):
    train(preset("small", **LARGE, precision="float32", optimizer={"matrix_precision": "bfloat16"}), tmp_path)
    run = Run.open(tmp_path)
    assert run.card["config"]["precision"] == "float32"
    assert run.card["config"]["optimizer"]["matrix_precision"] == "bfloat16"
    assert "float32, Newton-Schulz in bfloat16" in page_of("name", run.config, run.card, 1)
