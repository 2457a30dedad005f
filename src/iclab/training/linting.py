"""What is odd about a configuration, in words, before hours are spent on it."""

from __future__ import annotations

from typing import Any

from iclab.training.config import TrainingConfig

# Measured on tiny models: beyond this, Muon (scaled to AdamW's size) never left the initial plateau.
_MUON_RATE_THAT_LEARNS = 0.01


def lint(config: TrainingConfig) -> list[str]:
    """Sentences about what will probably not do what was meant; empty if nothing stands out.

    Parameters
    ----------
    config : TrainingConfig
        A valid configuration.
    """
    remarks: list[str] = []
    dimension, n_points, steps = config.architecture.dimension, config.n_points, config.steps
    last = config.curriculum.at(steps - 1, dimension, n_points)
    ends = config.curriculum.last_change
    if last.points < n_points:
        remarks.append(
            f"Positions {last.points} to {n_points - 1} are never trained: the curriculum reaches {last.points} of "
            f"{n_points} points in {steps} steps."
        )
    if last.dimensions < dimension:
        remarks.append(
            f"Dimensions {last.dimensions + 1} to {dimension} are never seen: the curriculum reaches "
            f"{last.dimensions} of {dimension} in {steps} steps."
        )
    if last == (dimension, n_points) and ends > 2 * steps / 3:
        remarks.append(
            f"The curriculum ends at step {ends} of {steps}: less than a third of the run trains full prompts."
        )
    if config.model.positions == "learned" and config.model.max_points > n_points:
        remarks.append(
            f"Positions {n_points} to {config.model.max_points - 1} exist but are never trained: their learned "
            "embeddings keep their initial values."
        )
    for name, ramp in config.curriculum.fields.items():
        configured, reached = _value(config, name), ramp.at(steps - 1)
        if reached != configured:
            remarks.append(
                f"{name} is at {reached:g} in the last step but {configured} in the configuration, which held-out "
                "prompts and the model card follow."
            )
    if config.targets == "posterior_mean" and _value(config, "prompts.tasks.kind") == "finite_pool":
        remarks.append(
            "Targets are the posterior means of the finite pool: the pool's Bayes predictor is fitted directly, which "
            "labels would teach more slowly. Take targets 'labels' to study how a pool is learned."
        )
    if config.schedule.warmup >= steps:
        remarks.append(f"The warm-up of {config.schedule.warmup} steps outlasts the run of {steps}.")
    rate = config.optimizer.matrix_learning_rate or config.optimizer.learning_rate
    if config.optimizer.kind == "muon" and rate > _MUON_RATE_THAT_LEARNS:
        remarks.append(
            f"A Muon rate of {rate:g} is above {_MUON_RATE_THAT_LEARNS:g}; such runs never left the plateau."
        )
    if config.loss_at == "query" and config.curriculum.points is not None:
        remarks.append("With loss_at 'query' and a curriculum of points, each stage trains one context length only.")
    if config.compile:
        remarks.append(
            "torch.compile made training slower on CPUs, and gains next to nothing on GPUs beside CUDA graphs."
        )
    return remarks


def _value(config: TrainingConfig, name: str) -> Any:
    """The configuration's value of a dotted name."""
    value: Any = config.as_dict()
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value
