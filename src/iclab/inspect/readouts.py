"""What a model would predict after each block, and which algorithm that is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import torch
from jaxtyping import Float64

from iclab.evaluation.curves import predictions
from iclab.foundations import InvalidInputError, check_choice, check_integer
from iclab.inspect.activations import run
from iclab.inspect.opening import Inspectable, opened, transformer_of
from iclab.inspect.probes import at_positions, stream_of
from iclab.inspect.ridge import validated
from iclab.predictors import GradientDescent, GradientDescentPlusPlus, LeastSquares, Newton, Predictor, Ridge, Zero
from iclab.prompts import Prompts
from iclab.prompts.labels import REAL

if TYPE_CHECKING:
    import pandas as pd

Algorithms: TypeAlias = Mapping[str, Mapping[float, Predictor]]
"""Families of algorithms: name to setting (number of steps, penalty; NaN where there is none) to predictor."""


def algorithms(
    dimension: int, *, rate: float | None = None, curvature: float | None = None
) -> dict[str, dict[float, Predictor]]:
    """The families that read-outs are compared with.

    Parameters
    ----------
    dimension : int
        d of the prompts.
    rate : float, optional
        Of descent; 1/(1 + √d)² when omitted, which is stable for typical standard normal inputs.
    curvature : float, optional
        Of GD++; a third of the rate when omitted.

    Returns
    -------
    dict of str to dict of float to predictor
        "gradient_descent" by steps 1 … 128, "gradient_descent_plus_plus" by steps 1 … 8, "newton" by steps 1 … 16,
        "ridge" by penalties, "least_squares", and "zero", which says nothing yet.
    """
    eta = 1 / (1 + np.sqrt(dimension)) ** 2 if rate is None else rate
    bend = eta / 3 if curvature is None else curvature
    return {
        "gradient_descent": {k: GradientDescent(k, eta) for k in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)},
        "gradient_descent_plus_plus": {k: GradientDescentPlusPlus(k, eta, bend) for k in range(1, 9)},
        "newton": {k: Newton(k) for k in range(1, 17)},
        "ridge": {penalty: Ridge(penalty) for penalty in (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)},
        "least_squares": {float("nan"): LeastSquares()},
        "zero": {float("nan"): Zero()},
    }


def read_out(
    model: Inspectable, prompts: Prompts, *, by: Literal["head", "linear"] = "linear", folds: int = 4
) -> Float64[np.ndarray, "L P *answer"]:
    """Predictions from the stream before the first block and after each, shape (L + 1, B, P).

    Of a module of one's own, after each of its L + 1 submodules that answer at every position.

    Parameters
    ----------
    model : str, Path, Transformer, OwnModule or predictor
        As in ``run``.
    prompts : Prompts
        With labels of one number for "linear".
    by : {"head", "linear"}
        Read by the final norm and head of a transformer; or by one ridge regression per block from the stream to the
        target, the same at all positions, learned from other prompts than those that it is asked for (a part of the
        others chooses its penalty), as in Fu et al. (2024).
    folds : int
        At least 3; parts of the prompts for "linear".

    Raises
    ------
    InvalidInputError
        If there is nothing to read, the head is asked of a module of one's own, prompts are fewer than folds, or labels
        are others.

    Examples
    --------
    >>> from iclab.inspect import read_out
    >>> from iclab.models import Architecture, Transformer
    >>> from iclab.prompts import Gaussian, Linear, PromptDistribution
    >>> prompts = PromptDistribution(Gaussian.isotropic(3), Linear()).sample(8, 5, seed=0)
    >>> model = Transformer(Architecture.gpt2(3, 3, 5))
    >>> read_out(model, prompts).shape  # before the first of three blocks, and after each
    (4, 8, 5)
    """
    predictor = opened(model)
    if check_choice(by, "by", ("head", "linear")) == "head":
        transformer_of(predictor, "predictions of the head after each block")
    folds = check_integer(folds, "folds", minimum=3)
    if by == "linear" and (prompts.labels != REAL or len(prompts) < folds):
        raise InvalidInputError(
            f"prompts must be at least {folds}, with labels of one number, for linear read-outs; {len(prompts)} with "
            f"labels of kind {prompts.labels.kind} were given."
        )
    names = stream_of(predictor, prompts)
    if not names:
        raise InvalidInputError(
            f"a model must have submodules that answer at each of {prompts.n_points} positions for read-outs; "
            f"{predictor.name} has none."
        )
    _, cache = run(predictor, prompts, names)
    streams = [at_positions(cache, name, prompts.n_points) for name in cache]
    if by == "linear":
        return np.stack([_linear(stream, prompts, folds) for stream in streams])
    said, transformer = [], predictor.model
    parameter = next(transformer.parameters())
    with torch.no_grad():
        for stream in streams:
            answers = transformer._said(torch.tensor(stream, dtype=parameter.dtype, device=parameter.device)).double()
            if predictor.architecture.head == "classes":
                answers = answers.softmax(-1)
            said.append((answers[..., 0] if predictor.architecture.head == "mean_variance" else answers).cpu().numpy())
    return np.stack(said)


def _linear(stream: Float64[np.ndarray, "B P w"], prompts: Prompts, folds: int) -> Float64[np.ndarray, "B P"]:
    count, length, width = stream.shape
    fold_of = np.repeat(np.arange(count) % folds, length)
    features, targets = stream.reshape(-1, width), prompts.targets.ravel()
    found = np.empty(count * length)
    for fold in range(folds):
        check = fold_of == (fold + 1) % folds
        asked = fold_of == fold
        found[asked] = validated(features, targets, ~(asked | check), check)[asked]
    return found.reshape(count, length)


def nearest_steps(
    read: Float64[np.ndarray, "L B P"],
    prompts: Prompts,
    families: Algorithms | None = None,
    *,
    positions: Sequence[int] | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> pd.DataFrame:
    """The distance of predictions after each block to every algorithm, for curves of the best number of steps.

    Parameters
    ----------
    read : ndarray, shape (L + 1, B, P)
        As ``read_out`` gives them.
    prompts : Prompts
        What they were read from.
    families : mapping, optional
        Algorithms; ``algorithms(d)`` when omitted.
    positions : sequence of int, optional
        Over which distances are means; all but the first when omitted.
    progress : callable, optional
        Called with (what is done, done, in all).

    Returns
    -------
    DataFrame
        Columns block (how many have passed), algorithm, setting, distance (mean squared difference of predictions over
        the mean squared target), stderr (over prompts, of the ratio), cosine (of the residuals ŷ − h(x), mean over
        prompts, the measure of Fu et al. 2024), nearest (whether no other setting of the family is nearer), n.

    Raises
    ------
    InvalidInputError
        If shapes do not fit, or a prediction is not finite.

    Examples
    --------
    >>> from iclab.inspect import nearest_steps, read_out
    >>> from iclab.models import Architecture, Transformer
    >>> from iclab.prompts import Gaussian, Linear, PromptDistribution
    >>> prompts = PromptDistribution(Gaussian.isotropic(3), Linear()).sample(8, 5, seed=0)
    >>> model = Transformer(Architecture.gpt2(3, 3, 5))
    >>> table = nearest_steps(read_out(model, prompts), prompts)
    >>> sorted(set(table["block"]))
    [0, 1, 2, 3]
    """
    import pandas as pd

    values = np.asarray(read, dtype=np.float64)
    if values.ndim != 3 or values.shape[1:] != prompts.targets.shape:
        raise InvalidInputError(
            f"read must have shape (blocks, *{prompts.targets.shape}), as read_out gives it; {values.shape} was given."
        )
    places = np.arange(min(1, prompts.n_points - 1), prompts.n_points) if positions is None else np.asarray(positions)
    families = algorithms(prompts.dimension) if families is None else families
    truth = prompts.targets[:, places]
    power = np.square(truth).mean(axis=1)
    own = values[:, :, places]
    rows, total, done = [], sum(map(len, families.values())), 0
    for family, members in families.items():
        for setting, algorithm in members.items():
            other = predictions(algorithm, family, prompts)[:, places]
            squares = np.square(own - other).mean(axis=2)  # (L + 1, B)
            ratio = squares.mean(axis=1) / power.mean()
            spread = (squares - ratio[:, None] * power).std(axis=1, ddof=1) / np.sqrt(len(truth)) / power.mean()
            cosine = _cosine(own - truth, other - truth).mean(axis=1)
            rows += [
                (block, family, setting, ratio[block], spread[block], cosine[block], len(truth))
                for block in range(len(values))
            ]
            done += 1
            if progress is not None:
                progress("algorithms", done, total)
    columns = ["block", "algorithm", "setting", "distance", "stderr", "cosine", "n"]
    table = pd.DataFrame(rows, columns=columns)
    least = table.groupby(["block", "algorithm"])["distance"].transform("min")
    table.insert(6, "nearest", table["distance"] == least)
    return table.sort_values(["block", "algorithm"], kind="stable", ignore_index=True)


def _cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosine of the angle between vectors along the last axis; 0 where one of them is 0."""
    size = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    return np.divide((a * b).sum(axis=-1), size, out=np.zeros(size.shape), where=size > 0)
