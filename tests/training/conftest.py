"""A training of a second or two with everything in it: curriculum, Muon and AdamW, checkpoints, evaluations."""

import pytest

from iclab.training import preset


@pytest.fixture
def config():
    return preset(
        "tiny",
        dimension=3,
        n_train=6,
        steps=40,
        batch_size=8,
        n_evaluation=16,
        model={"width": 16, "layers": 2},
        log_every=4,
        checkpoint_every=5,
    )


@pytest.fixture
def outcome():
    """All that a run's folder says, clock fields aside."""

    def read(run):
        weights = (run.directory / "checkpoints" / str(run.config.steps) / "model.safetensors").read_bytes()
        metrics = [{key: line[key] for key in line if not key.endswith("seconds")} for line in run.metrics]
        return weights, metrics

    return read
