"""A training's state on disk: ``checkpoints/<step>/`` with weights, optimiser state and counters.

Everything is safetensors or JSON under a manifest of checksums (``models.storage``); a checkpoint that is torn,
truncated or corrupted is passed over for the one before it, and said so.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from iclab.foundations import read_json
from iclab.models import Model, OwnModel
from iclab.models.predictor import checkpoints, last_whole
from iclab.models.storage import ARCHITECTURE, WEIGHTS, describe, load_tensors, read_weights, write_folder
from iclab.training.metrics import STATE, Written
from iclab.training.series import SERIES

OPTIMIZERS = "optimizers.safetensors"
_log = logging.getLogger(__name__)


@dataclass
class State:
    """All that a training carries from one step to the next.

    Attributes
    ----------
    model : Transformer or OwnModule
        Weights.
    optimizers : dict of Optimizer
        With their moments.
    step : int
        Steps done.
    losses : list of Tensor, shape (2,)
        Loss, and that of predicting 0, of each step since the last line of metrics.
    seconds, cpu_seconds : float
        Spent so far, as of the checkpoint that this state came from.
    """

    model: Model
    optimizers: Mapping[str, torch.optim.Optimizer]
    step: int
    losses: list[Tensor]
    seconds: float = 0.0
    cpu_seconds: float = 0.0


def save_checkpoint(state: State, run: Path, *, keep: int, clock: Mapping[str, float], written: Written) -> None:
    """Write ``checkpoints/<step>/`` of a run and remove all but the latest ``keep``.

    With it are kept the time spent and what has been ``written`` to its metrics.
    """
    folder = run / "checkpoints" / str(state.step)
    write_folder(
        folder,
        tensors={WEIGHTS: state.model.state_dict(), OPTIMIZERS: _pack(state.optimizers)},
        documents={
            ARCHITECTURE: describe(state.model.architecture),
            STATE: {
                "step": state.step,
                "losses": [pair.tolist() for pair in state.losses],
                "device": _name_of(next(state.model.parameters()).device),
                **clock,
                **written.entry(),
            },
        },
    )
    for old in list(checkpoints(run))[keep:]:
        shutil.rmtree(old, ignore_errors=True)


def _name_of(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def last_good(run: Path) -> Path | None:
    """The latest whole checkpoint of a run; logs as a warning which ones were passed over."""
    folder, remark = last_whole(run)
    if remark is not None:
        _log.warning("%s: %s.", run, remark)
    return folder


def restore(state: State, folder: Path) -> None:
    """Put the content of a checkpoint into ``state``."""
    architecture = state.model.architecture
    weights = folder / WEIGHTS
    own = isinstance(architecture, OwnModel)
    state.model.load_state_dict(load_tensors(weights) if own else read_weights(weights, architecture))
    packed = load_tensors(folder / OPTIMIZERS)
    for name, optimizer in state.optimizers.items():
        content = optimizer.state_dict()
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in packed.items():
            owner, index, moment = key.split(".")
            if owner == name:
                moments.setdefault(int(index), {})[moment] = value
        optimizer.load_state_dict({"state": moments, "param_groups": content["param_groups"]})
    counters = read_json(folder / STATE)
    state.step = int(counters["step"])
    device = next(state.model.parameters()).device
    state.losses = [torch.tensor(pair, dtype=torch.float64, device=device) for pair in counters["losses"]]
    state.seconds, state.cpu_seconds = (float(counters.get(name, 0.0)) for name in ("seconds", "cpu_seconds"))


def _pack(optimizers: Mapping[str, torch.optim.Optimizer]) -> dict[str, Tensor]:
    packed: dict[str, Tensor] = {}
    for name, optimizer in optimizers.items():
        moments: dict[int, dict[str, Any]] = optimizer.state_dict()["state"]
        for index, values in moments.items():
            for moment, value in values.items():
                if value is not None:  # SGD without momentum keeps an empty slot
                    packed[f"{name}.{index}.{moment}"] = torch.as_tensor(value)
    return packed


def clean(run: Path) -> None:
    """Remove what writes interrupted by a kill have left behind; the caller holds the run."""
    for pattern in ("checkpoints/.*", f"{SERIES}/.*", ".config.yaml.*", ".metrics.jsonl.*"):
        for path in run.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
