"""What adversarial training gains and costs: one layer exactly, and GPT-2 trained against a gradient attacker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from iclab.prompts.specification import plain, validated
from iclab.studies.lab import Lab
from iclab.studies.trainings import Job, digest
from iclab.training import preset
from iclab.training.config import TrainingConfig

_HARDENED = "iclab.studies.hijacking.hardened:Hardened"


def job(
    budget: float, ascent: int, seed: int, dimension: int, n_train: int, name: str, changes: Mapping[str, Any], lab: Lab
) -> Job:
    """A training of a preset whose labels are attacked with this budget; with budget 0 the same module, unattacked."""
    base = preset(name, dimension=dimension, n_train=n_train, **{"seed": seed, **changes})
    arguments = {"budget": budget, "ascent": ascent, **plain(base.model)}
    data = base.as_dict() | {"model": {"kind": "own", "object": _HARDENED, "arguments": arguments}}
    config = validated(TrainingConfig, data, f"the preset {name}", allow_code=[_HARDENED])
    directory = lab.runs / f"hijacking-budget{budget:g}-seed{seed}-{digest(config.as_dict())}"
    return Job(f"training: budget {budget:g}, seed {seed}", config, directory)
