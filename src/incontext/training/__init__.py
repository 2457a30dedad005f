"""Training transformers to learn in context, reproducibly.

A *configuration* is one frozen object that determines a trained model: prompts, architecture, optimiser, schedule,
curriculum, targets. A *run* is the folder a training fills: ``config.yaml``, ``metrics.jsonl`` and
``checkpoints/<step>/``. ``train(config, directory)`` starts a run or goes on with it: killed at any moment, it
ends in the same weights, because every prompt is an address (seed, step, index) and nothing else is random.
*Presets* are named recipes.
"""

from incontext.training.config import TrainingConfig
from incontext.training.curriculum import Curriculum, Ramp
from incontext.training.loop import train
from incontext.training.optimisation import Optimizer, Schedule
from incontext.training.presets import PRESETS, preset
from incontext.training.reading import read_config
from incontext.training.run import Run
from incontext.training.step import TrainingDivergedError
from incontext.training.targets import posterior_mean

__all__ = [
    "PRESETS",
    "Curriculum",
    "Optimizer",
    "Ramp",
    "Run",
    "Schedule",
    "TrainingConfig",
    "TrainingDivergedError",
    "posterior_mean",
    "preset",
    "read_config",
    "train",
]
