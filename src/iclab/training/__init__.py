"""Training transformers to learn in context, reproducibly.

A *configuration* is one frozen object that determines a trained model: prompts, architecture, optimiser, schedule,
curriculum, targets. A *run* is the folder a training fills: ``config.yaml``, ``metrics.jsonl`` and
``checkpoints/<step>/``. ``train(config, directory)`` starts a run or resumes it: killed at any moment, it
ends in the same weights, because every prompt is an address (seed, step, index) and nothing else is random.
*Presets* are named recipes.
"""

from iclab.training.clamping import Clamp
from iclab.training.config import TrainingConfig
from iclab.training.curriculum import Curriculum, Ramp
from iclab.training.logs import Log
from iclab.training.loop import train
from iclab.training.optimisation import Optimizer, Schedule
from iclab.training.presets import PRESETS, preset
from iclab.training.reading import read_config
from iclab.training.run import Run
from iclab.training.series import Checkpoint, Series
from iclab.training.step import TrainingDivergedError
from iclab.training.targets import posterior_mean
from iclab.training.together import train_together

__all__ = [
    "PRESETS",
    "Checkpoint",
    "Clamp",
    "Curriculum",
    "Log",
    "Optimizer",
    "Ramp",
    "Run",
    "Schedule",
    "Series",
    "TrainingConfig",
    "TrainingDivergedError",
    "posterior_mean",
    "preset",
    "read_config",
    "train",
    "train_together",
]
