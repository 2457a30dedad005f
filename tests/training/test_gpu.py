"""What only a GPU can show; run with ``pytest -m gpu``."""

import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch

import iclab.training.cuda_graphs as cuda_graphs
from iclab.models import load, make
from iclab.models.mixers.kernels import KERNELS
from iclab.training import preset, train
from iclab.training.config import write_yaml
from iclab.training.distributed import World

pytestmark = pytest.mark.gpu


def weights(path):
    return torch.nn.utils.parameters_to_vector(load(path).model.parameters()).detach()


def configuration(**changes):
    """Every optimiser path, a curriculum of lengths and a falling rate, in 30 steps."""
    return preset(
        "columns", dimension=4, n_train=10, **{"steps": 30, "n_evaluation": 64, "checkpoint_every": 7, **changes}
    )


@pytest.mark.parametrize("optimizer", ["muon", "adamw", "adam", "sgd"])
def test_a_gpu_trains_the_model_that_a_cpu_does(tmp_path, optimizer):
    """Sums differ in their order alone. Muon computes in bfloat16, and Adam divides by the roots of its averages."""
    changes = {"optimizer": {"kind": optimizer, "learning_rate": 1e-3}, "precision": "float64"}
    cpu, gpu = (
        weights(train(configuration(device=device, **changes), tmp_path / device).directory)
        for device in ("cpu", "cuda")
    )
    assert (cpu - gpu).abs().max() / cpu.abs().max() < {"muon": 1e-2, "sgd": 1e-12}.get(optimizer, 1e-5)


@pytest.mark.parametrize("attention", ["softmax", "linear"])
@pytest.mark.parametrize("precision", ["bfloat16", "float32", "float64"])
def test_graphs_are_the_steps_themselves(tmp_path, attention, precision, monkeypatch):
    config = configuration(device="cuda", precision=precision, model={"attention": attention})
    replayed = train(config, tmp_path / "replayed")
    monkeypatch.setattr(cuda_graphs, "Graphed", lambda function: function)
    launched = train(config, tmp_path / "launched")
    assert torch.equal(weights(replayed.directory), weights(launched.directory))


MODELS = [
    {"embedding": "stacked", "attention": "linear"},
    {"embedding": "interleaved", "attention": "softmax"},
    {"embedding": "interleaved", "attention": "softmax", "positions": "shifted"},
]
RAMPS = {
    "optimizer.momentum": {"start": 0.8, "end": 0.95, "increment": 0.05, "every": 6},
    "batch_size": {"start": 16, "end": 64, "increment": 16, "every": 5},
    "prompts.noise": {"start": 0.0, "end": 0.5, "increment": 0.1, "every": 3},
}


@pytest.mark.parametrize("ramps", [{}, RAMPS], ids=["still", "moving"])
@pytest.mark.parametrize("model", MODELS, ids=lambda model: "-".join(model.values()))
def test_an_interrupted_training_ends_in_the_same_bits(tmp_path, model, ramps, monkeypatch):
    prompts = {"noise": 0.5} if ramps else {}
    config = configuration(device="cuda", model=model, curriculum={"fields": ramps}, prompts=prompts)
    whole = train(config, tmp_path / "whole")
    monkeypatch.setattr("iclab.training.reporting._SECONDS_BETWEEN_REPORTS", 0.0)
    for last in (9, 17):  # beyond the checkpoints of steps 7 and 14

        def stop(done, total, loss, left, last=last):
            if done >= last:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            train(config, tmp_path / "cut", progress=stop)
    cut = train(config, tmp_path / "cut")
    assert torch.equal(weights(whole.directory), weights(cut.directory))


def test_predictions_agree_with_the_cpus(tmp_path):
    config = configuration(device="cuda", precision="float32")
    run = train(config, tmp_path / "run")
    prompts = config.prompts.build().sample(50, 11, seed=1)
    np.testing.assert_allclose(
        load(run.directory, device="cuda")(prompts), load(run.directory)(prompts), rtol=1e-4, atol=1e-5
    )


@pytest.mark.filterwarnings("ignore")  # torch.compile has many
def test_a_compiled_model_learns_the_same(tmp_path):
    losses = []
    for compiled in (False, True):
        config = configuration(device="cuda", precision="float32", compile=compiled, curriculum={"points": None})
        losses.append([line["loss"] for line in train(config, tmp_path / str(compiled)).metrics if "loss" in line])
    np.testing.assert_allclose(*losses, rtol=1e-3)


def test_torchrun_starts_a_training_on_a_gpu(tmp_path):
    config = configuration(device="cuda", precision="float64", optimizer={"kind": "adamw", "learning_rate": 1e-3})
    alone = train(config, tmp_path / "alone")
    (tmp_path / "config.yaml").write_text(write_yaml(config))
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=1", "-m", "iclab", "train"]
    subprocess.run([*command, "config.yaml", "--directory", "run"], cwd=tmp_path, check=True)
    assert torch.equal(weights(alone.directory), weights(tmp_path / "run"))


def test_nccl_sums_what_gloo_does(tmp_path):
    """One GPU makes a group of one, whose sum is each tensor itself; the messages are those of several."""
    torch.distributed.init_process_group(
        "cpu:gloo,cuda:nccl", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1
    )
    try:
        processes = World(0, 2)
        tensors = [torch.arange(3.0, device="cuda").double(), torch.ones(2, 2, device="cuda")]
        before = [tensor.clone() for tensor in tensors]
        processes.add(tensors)
        assert all(torch.equal(one, other) for one, other in zip(before, tensors, strict=True))
        assert processes.any(True)
        assert not processes.any(False)
        processes.wait()
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.skipif(find_spec("fla") is None, reason="needs the extra `kernels`")
@pytest.mark.parametrize("embedding", ["interleaved", "stacked"])
@pytest.mark.parametrize("mixer", KERNELS)
def test_kernels_train_the_model_that_our_chunks_do(tmp_path, mixer, embedding):
    """Products round to eight bits on both sides."""
    model = {"mixers": [mixer], "embedding": embedding, "positions": "none"}
    config = configuration(device="cuda", precision="bfloat16", model=model, optimizer={"kind": "sgd"})
    kernels, own = (weights(train(config.with_(kernels=name), tmp_path / name).directory) for name in ("fla", "own"))
    start = torch.nn.utils.parameters_to_vector(make(config.model, config.seed).parameters()).detach()
    assert (kernels - own).norm() < 0.05 * (own - start).norm()
