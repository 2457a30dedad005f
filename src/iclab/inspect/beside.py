"""Theory beside a training: gradient flow over the run of a linear self-attention layer, and its plateaus.

One step of gradient descent with rate η moves the weights by −η∇ℓ, ℓ the training loss. That is the squared error,
twice the loss L of (8), so that a run of (3) follows the flow (9) on the clock t = 2 · Σ η_k / (1 − μ): η_k the rates
of the schedule and μ the momentum, whose average step is longer by 1/(1 − μ). It is divided by d where
``per_dimension`` divides the loss. A loss at all positions 0 … N is N/(N + 1) times the mean over contexts of 1 … N
examples, as nothing is learned from none, and so is its clock. Rules that divide by the size of the gradient (Adam,
AdamW, Muon, clipping) have no clock: how far a step goes is then no function of the rate and the gradient alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from iclab.flow import FactoredHeads, gradient_flow, predicted_drops
from iclab.foundations import InvalidInputError
from iclab.models import OwnModel, Transformer
from iclab.prompts import PromptDistribution
from iclab.theory import AllPositions, LSAParameters, PopulationLoss, covariance_rule, minimizer, plateau_losses
from iclab.training import Checkpoint, Run, TrainingConfig

if TYPE_CHECKING:
    import pandas as pd

# Parameters of a module whose heads are those of ``flow.FactoredHeads``.
_PARTS = ("values", "keys", "queries")


def flow_time(config: TrainingConfig, steps: ArrayLike) -> Float64[np.ndarray, ...]:
    """The time of gradient flow (9) that a training has spent after so many steps.

    Parameters
    ----------
    config : TrainingConfig
        By plain stochastic gradient descent: optimizer ``{kind: sgd, clip: null}``, with or without momentum.
    steps : array_like of int
        From 0 to the last.

    Returns
    -------
    ndarray, shape of steps

    Raises
    ------
    InvalidInputError
        If the optimiser has no such clock, the loss is no squared error, or prompts grow along the training.
    """
    optimizer, curriculum = config.optimizer, config.curriculum
    if optimizer.kind != "sgd" or optimizer.clip is not None:
        raise InvalidInputError(
            "the optimiser must be plain gradient descent for a training to follow gradient flow, with optimizer "
            f"{{kind: sgd, clip: null}}; kind {optimizer.kind} with clip {optimizer.clip} was given."
        )
    if config.architecture.head != "mean" or curriculum.dimensions or curriculum.points or curriculum.fields:
        raise InvalidInputError(
            "the training must fit squared errors of prompts that stay as they are, to follow gradient flow; give the "
            "head 'mean' and no curriculum."
        )
    shares = [config.schedule.at(step, config.steps) for step in range(config.steps)]
    factor = 2 / (1 - optimizer.momentum) / (config.architecture.dimension if config.per_dimension else 1)
    if config.loss_at == "all_positions":
        factor *= config.n_train / config.n_points
    times = factor * optimizer.learning_rate * np.concatenate([[0.0], np.cumsum(shares)])
    index = np.asarray(steps)
    if index.dtype.kind != "i" or (index < 0).any() or (index > config.steps).any():
        raise InvalidInputError(f"steps must be whole numbers from 0 to {config.steps}; {steps} was given.")
    return times[index]


def population_of(config: TrainingConfig) -> PopulationLoss:
    """The population loss (8) that a training of a linear self-attention layer descends.

    Raises
    ------
    InvalidInputError
        If its prompts are not of linear functions w'x, w ~ N(0, W), of inputs whose covariance moments are known.
    """
    prompts = config.prompts.build()
    tasks = getattr(config.prompts, "tasks", None)
    if not isinstance(prompts, PromptDistribution) or getattr(tasks, "kind", None) != "linear":
        raise InvalidInputError(
            "prompts must be of linear functions w'x, w normal, for a population loss; tasks of kind 'linear' are."
        )
    length = AllPositions(config.n_train) if config.loss_at == "all_positions" else config.n_train
    covariance = getattr(prompts.tasks, "weight_covariance", None)
    loss = PopulationLoss(prompts.covariates, length, prompts.noise**2, covariance)  # type: ignore[arg-type]
    covariance_rule(loss.covariates)  # says which laws there are
    return loss


def layer_of(checkpoint: Checkpoint) -> LSAParameters:
    """The weights of a checkpoint as (W^PV, W^KQ) of (3).

    Raises
    ------
    InvalidInputError
        If it is no single head of merged linear attention on columns (x, y), such as the preset "lsa".
    """
    model = checkpoint.predictor().model
    architecture = model.architecture
    if (
        not isinstance(model, Transformer)
        or isinstance(architecture, OwnModel)
        or set(architecture.kinds) != {"merged"}
        or (architecture.layers, architecture.heads, architecture.loops) != (1, 1, 1)
        or (architecture.read_in, architecture.positions, architecture.mlp) != ("identity", "none", False)
        or architecture.layer_norm
    ):
        raise InvalidInputError(
            "the model must be the linear self-attention layer of the paper, one head of merged attention, for its "
            "flow to be known; the preset 'lsa' is."
        )
    weights: Any = next(iter(model.blocks.children())).mixes
    w_pv, w_kq = (part[0].detach().double().cpu().numpy() for part in (weights.w_pv, weights.w_kq))
    return LSAParameters(w_pv, w_kq)


def flow_beside(run: Run) -> pd.DataFrame:
    """The weights that a run of a linear self-attention layer has kept, beside the gradient flow from the first ones.

    Errors are exact, of the population: nothing is sampled but by the training.

    Parameters
    ----------
    run : Run
        With ``checkpoints`` in its configuration; of the preset "lsa", trained by plain gradient descent.

    Returns
    -------
    pandas.DataFrame
        Columns step, time (of the flow), run and flow (E(ŷ − w'x_q)², twice the loss (8), of the run's weights and of
        the flow's), minimum (the least there is), distance (between both learners uU + ab', relative to the best one).

    Raises
    ------
    InvalidInputError
        If the run has kept no checkpoints, or as ``flow_time``, ``population_of`` and ``layer_of``.
    """
    import pandas as pd

    kept = run.checkpoints()
    if len(kept) < 2:
        raise InvalidInputError(
            f"{run.directory} must have kept checkpoints to be drawn beside the flow; train it with "
            "checkpoints: {spacing: log, count: 50} in its configuration."
        )
    times = flow_time(run.config, [each.step for each in kept])
    loss = population_of(run.config)
    layers = [layer_of(each) for each in kept]
    flow = gradient_flow(
        layers[0],
        loss.covariates,
        loss.n_train,
        float(times[-1]),
        noise_variance=loss.noise_variance,
        weight_covariance=loss.weight_covariance,
    )
    best = minimizer(*loss.problem).learner
    along = flow.parameters(times)
    return pd.DataFrame(
        {
            "step": [each.step for each in kept],
            "time": times,
            "run": [2 * loss(layer) for layer in layers],
            "flow": 2 * flow.loss(times),
            "minimum": 2 * flow.minimum_loss,
            "distance": [
                float(np.linalg.norm(own.learner - other.learner) / np.linalg.norm(best))
                for own, other in zip(layers, along, strict=True)
            ],
        }
    )


def heads_of(checkpoint: Checkpoint) -> FactoredHeads:
    """The weights of a checkpoint as heads with separate keys and queries, ŷ = Σ_h v_h (Λ̂w)'K_h'Q_h x_q.

    Raises
    ------
    InvalidInputError
        If it is no module of one's own whose parameters are ``values`` (H,), ``keys`` and ``queries`` (H, r, d).
    """
    model = checkpoint.predictor().model
    found = {name.removeprefix("net."): value.detach().double().cpu() for name, value in model.named_parameters()}
    shapes = [tuple(found[name].shape) if name in found else () for name in _PARTS]
    if not isinstance(model.architecture, OwnModel) or set(found) != set(_PARTS) or [*map(len, shapes)] != [1, 3, 3]:
        raise InvalidInputError(
            "the model must be one of your own with the parameters values (H,), keys and queries (H, r, d) and no "
            f"others, for its heads to be known; its parameters are {', '.join(found)}."
        )
    return FactoredHeads(*(found[name].numpy() for name in _PARTS))


def plateaus_beside(run: Run) -> pd.DataFrame:
    """The plateaus that theory predicts for separate keys and queries, when a run left each, and when it should have.

    One layer of linear attention with separate W^K and W^Q takes up one eigendirection of Λ after another (Zhang,
    Singh, Latham and Saxe 2025); the heights are those of ``theory.plateau_losses``. Times are known from the starting
    weights of heads of rank one with one number v_h as their value (``flow.predicted_drops``), trained by plain
    gradient descent: of a module of one's own as in ``heads_of`` whose run has kept its weights of step 0.

    Parameters
    ----------
    run : Run
        Of one layer of linear attention, or of such a module, on linear functions with w ~ N(0, I); its held-out errors
        at N examples are read from its metrics.

    Returns
    -------
    pandas.DataFrame
        Columns plateau (directions learned), error (predicted, E(ŷ − w'x_q)² at N examples), step (the first evaluation
        at which the held-out error is below the middle to the next plateau; NaN if there is none), predicted (the step
        at which it should be; NaN where no time is known, or it is beyond the last step), measured and stderr (the
        held-out error of the evaluation that is nearest to the plateau).

    Raises
    ------
    InvalidInputError
        If it is no such run, or has not been evaluated, or as ``flow_time`` and ``flow.predicted_drops``.
    """
    import pandas as pd

    architecture, loss = run.config.architecture, population_of(run.config)
    own = isinstance(architecture, OwnModel)
    if (not own and architecture.kinds not in (("linear",), ("merged",))) or loss.weight_covariance is not None:
        raise InvalidInputError(
            "the run must be of one layer of linear attention on functions with w ~ N(0, I), for its plateaus to be "
            "predicted."
        )
    errors = run.evaluations()
    last = errors[errors["position"] == run.config.n_train]
    if last.empty:
        raise InvalidInputError(f"{run.directory} must have been evaluated; it has not come to its first evaluation.")
    if own:
        predicted, levels = _predicted(run, loss)
    else:
        predicted, levels = np.empty(0), plateau_losses(loss.covariates, run.config.n_train, loss.noise_variance)
    rows = []
    for m, level in enumerate(levels):
        middle = (level + levels[m + 1]) / 2 if m + 1 < len(levels) else -np.inf
        below = last[last["mean"] < middle]
        nearest = last.iloc[int((last["mean"] - level).abs().argmin())]
        step = float(below["step"].iloc[0]) if len(below) else np.nan
        should = predicted[m] if m < len(predicted) else np.nan
        rows.append((m, level, step, should, nearest["mean"], nearest["stderr"]))
    return pd.DataFrame(rows, columns=["plateau", "error", "step", "predicted", "measured", "stderr"])


def _predicted(run: Run, loss: PopulationLoss) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, " levels"]]:
    """Steps at which half of each drop should be behind, NaN beyond the last, and the errors between them."""
    kept = run.checkpoints()
    if not kept:
        raise InvalidInputError(
            f"{run.directory} must have kept its first weights, for its drops to be predicted; train it with "
            "checkpoints: [] in its configuration."
        )
    drops = predicted_drops(heads_of(kept[0]), loss.covariates, loss.n_train, loss.noise_variance)
    steps = np.arange(run.config.steps + 1)
    return np.interp(drops.times, flow_time(run.config, steps), steps, right=np.nan), drops.errors
