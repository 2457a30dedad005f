"""Does a model memorise its tasks or generalise? Its place between two strategies, along training and task diversity.

Wurgaft, Lubana, Park, Tanaka, Reddy and Goodman (2025): a model that is trained on prompts from a pool of M tasks moves
between two predictors, one that infers which task of the pool it sees and one that assumes the law which the pool was
drawn from. ``relative_distances`` measures where it is, at every checkpoint; ``fit_posterior`` explains all of these by
one posterior over the two strategies, with three constants. For linear tasks the two are
``FinitePoolBayes(pool, noise, first="prior")`` and ``Ridge.bayes(noise)``.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike, DTypeLike
from scipy.optimize import least_squares
from scipy.special import expit

from iclab.evaluation.curves import predictions
from iclab.evaluation.streaming import Moments, SamplesPrompts, accumulate
from iclab.foundations import (
    Draws,
    Interval,
    InvalidInputError,
    check_integer,
    check_reals,
    percentile_interval,
)
from iclab.predictors import Predictor
from iclab.prompts import Prompts
from iclab.training import Checkpoint

if TYPE_CHECKING:
    import pandas as pd

Models: TypeAlias = Iterable[Checkpoint] | Mapping[int, Predictor]
# Columns of a table that the posterior is fitted to.
_FITTED = ("seen", "relative", "loss_memorising", "loss_generalising", "bits")
# Bounds of log γ, α and log β.
_BOUNDS = (np.array([-200.0, -1.0, np.log(0.01)]), np.array([200.0, 0.999, np.log(3.0)]))


def relative_distances(
    models: Models,
    memorising: Predictor,
    generalising: Predictor,
    distributions: Mapping[str, SamplesPrompts],
    n_points: int,
    *,
    n_prompts: int,
    seed: int,
    by_position: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> pd.DataFrame:
    """Where models along a training stand between two strategies: 1 is the memorising one, 0 the generalising one.

    With d the mean squared difference of predictions (of probabilities, for classes) it is
    ½(1 + (d(h, G) − d(h, M))/d(M, G)) for a model h (Wurgaft et al. 2025), which is the coefficient of M − G in the
    projection of h on the line through both: h = λM + (1 − λ)G is at λ. What is off the line is told beside it.

    Parameters
    ----------
    models : list of Checkpoint, or dict of int to predictor
        ``Run.checkpoints()``, or predictors by their step. One is in memory at a time.
    memorising, generalising : predictor
        M and G, for example ``FinitePoolBayes(pool, noise, first="prior")`` and ``Ridge.bayes(noise)``.
    distributions : dict of str to PromptDistribution
        Where to look, such as prompts of the pool, and of the law that the pool is of.
    n_points, n_prompts, seed
        Positions and prompts, the same prompts for all models.
    by_position : bool
        Whether rows are of single positions; otherwise distances are means over all positions.
    progress : callable, optional
        Called with (distribution, models done, models in all).

    Returns
    -------
    pandas.DataFrame
        Columns step, distribution, (position,) relative, stderr, to_memorising, to_generalising, between, off_line, n.
        Distances are mean squared differences; ``off_line`` is that of the model from its projection over
        ``between``. Where the strategies do not differ, relative and off_line are NaN.

    Raises
    ------
    InvalidInputError
        If a number is out of range, there is no model, or a prediction does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from iclab.inspect import relative_distances
    >>> from iclab.predictors import FinitePoolBayes, Ridge
    >>> from iclab.prompts import Gaussian, Linear, PromptDistribution
    >>> pool, law = FinitePoolBayes(np.eye(2), 0.5), PromptDistribution(Gaussian(np.eye(2)), Linear(), 0.5)
    >>> def mixed(prompts):
    ...     return 0.25 * pool(prompts) + 0.75 * Ridge(0.25)(prompts)
    >>> table = relative_distances({0: mixed}, pool, Ridge(0.25), {"new": law}, 5, n_prompts=16, seed=0)
    >>> table["relative"].round(9).tolist()
    [0.25]
    """
    import pandas as pd

    given = steps_of(models)
    if not given or not distributions:
        raise InvalidInputError("models and distributions must name at least one each; one of them is empty.")
    parts: list[pd.DataFrame] = []
    for name, distribution in distributions.items():
        for done, (step, model) in enumerate(given, start=1):
            predictor = model.predictor() if isinstance(model, Checkpoint) else model
            measure = _Between(predictor, memorising, generalising, by_position)
            [found] = accumulate(measure, distribution, n_points, n_prompts=n_prompts, seed=seed, summaries=_SUMMARIES)
            parts.append(_rows(found, step, name, by_position))
            if progress is not None:
                progress(name, done, len(given))
    return pd.concat(parts, ignore_index=True)


def steps_of(models: Models) -> list[tuple[int, Checkpoint | Predictor]]:
    """Checkpoints or predictors with their steps."""
    if isinstance(models, Mapping):
        return list(cast("Mapping[int, Predictor]", models).items())
    return [(each.step, each) for each in models]


@dataclass(frozen=True)
class _Between:
    """Per prompt (and position): d(h, M), d(h, G), d(M, G), shape (B, 3, P or 1)."""

    model: Predictor
    memorising: Predictor
    generalising: Predictor
    by_position: bool

    def __call__(self, prompts: Prompts) -> Float64[np.ndarray, "B 3 P"]:
        named = {"the model": self.model, "memorising": self.memorising, "generalising": self.generalising}
        h, m, g = (predictions(predictor, name, prompts) for name, predictor in named.items())
        squares = np.stack([(one - other) ** 2 for one, other in ((h, m), (h, g), (m, g))], axis=1)
        squares = squares if squares.ndim == 3 else squares.sum(axis=-1)
        return squares if self.by_position else squares.mean(axis=2, keepdims=True)


@dataclass(frozen=True, eq=False)
class _Products:
    """Sums of samples and of their products, mergeable: for the standard error of a ratio of means."""

    n: int
    sums: Float64[np.ndarray, "3 P"]
    products: Float64[np.ndarray, "3 3 P"]

    @classmethod
    def of(cls, samples: Float64[np.ndarray, "B 3 P"]) -> _Products:
        return cls(len(samples), samples.sum(axis=0), np.einsum("bip,bjp->ijp", samples, samples))

    def merge(self, other: _Products) -> _Products:
        return _Products(self.n + other.n, self.sums + other.sums, self.products + other.products)

    def of_combination(self, weights: Float64[np.ndarray, "3 P"]) -> Float64[np.ndarray, " P"]:
        """Standard error of the mean of Σ_i weights_i · sample_i."""
        mean = np.einsum("ip,ip->p", weights, self.sums) / self.n
        square = np.einsum("ip,jp,ijp->p", weights, weights, self.products) / self.n
        return np.sqrt(np.maximum(square - mean**2, 0.0) / (self.n - 1))


# Products merge as the moments of evaluation do.
_SUMMARIES = cast("tuple[type[Moments]]", (_Products,))


def _rows(found: _Products, step: int, distribution: str, by_position: bool) -> pd.DataFrame:
    import pandas as pd

    to_m, to_g, between = found.sums / found.n
    size = np.where(between > 0, between, np.nan)
    relative = (1 + (to_g - to_m) / size) / 2
    # Of a ratio a/D of means: the error of the mean of (a − rD)/D, with a = (d(h, G) − d(h, M) + d(M, G))/2.
    half = np.full_like(size, 0.5)
    stderr = found.of_combination(np.stack([-half, half, half - relative])) / size
    columns: dict[str, Any] = {"step": step, "distribution": distribution}
    if by_position:
        columns["position"] = np.arange(len(to_m))
    return pd.DataFrame(
        columns
        | {
            "relative": relative,
            "stderr": stderr,
            "to_memorising": to_m,
            "to_generalising": to_g,
            "between": between,
            "off_line": np.maximum(to_g / size - relative**2, 0.0),
            "n": found.n,
        },
        index=range(len(to_m)),
    )


def compressed_bits(values: ArrayLike, dtype: DTypeLike = np.float32) -> int:
    """Bits of numbers compressed: the shortest of LZMA, bzip2 and Deflate. Of a pool, what it costs to memorise it.

    Parameters
    ----------
    values : array_like
        The numbers, for example ``FinitePool.pool``, shape (M, d).
    dtype : dtype
        In which they are written.

    Returns
    -------
    int
    """
    content = check_reals(values, "values").astype(dtype).tobytes()
    return 8 * min(len(lzma.compress(content, preset=9)), len(bz2.compress(content)), len(zlib.compress(content, 9)))


@dataclass(frozen=True, eq=False)
class StrategyPosterior:
    """A posterior over the memorising and the generalising strategy, fitted by ``fit_posterior``.

    Attributes
    ----------
    gamma, alpha, beta : float
        weight ∝ exp(−γ n^{1−α}·loss − ln 2·C^β): γ how much a loss counts, α how much less of later data is learned
        from, β how much bits count.
    correlation : float
        Pearson's, of predicted with measured relative distances.
    intervals : dict of str to Interval
        Bootstrap intervals of ``correlation``, ``gamma``, ``alpha`` and ``beta``, from refits.
    resampled : str
        What was drawn with replacement: "run" or "row".
    n, n_resampled, n_bootstrap, seed : int
        Rows, how many of what was resampled there are, how often, and with which seed.
    predicted : ndarray, shape (n,)
        Predicted relative distance of every row.
    """

    gamma: float
    alpha: float
    beta: float
    correlation: float
    intervals: dict[str, Interval]
    resampled: str
    n: int
    n_resampled: int
    n_bootstrap: int
    seed: int
    predicted: Float64[np.ndarray, " n"]

    def predict(self, table: pd.DataFrame) -> Float64[np.ndarray, " n"]:
        """Relative distances that it predicts for other rows of the same columns, ``relative`` aside."""
        return _Rows.of(table, measured=False).weight(np.array([np.log(self.gamma), self.alpha, np.log(self.beta)]))


def fit_posterior(
    table: pd.DataFrame, *, n_bootstrap: int = 200, seed: int = 0, level: float = 0.95
) -> StrategyPosterior:
    """Explain relative distances by one posterior over two strategies, with three constants for all rows.

    After n numbers seen, a strategy of mean loss L that takes C bits to write down has the weight
    w = exp(−γ n^{1−α} L − ln 2·C^β) (Wurgaft et al. 2025); a model that averages the two by these weights is at the
    relative distance w_M/(w_M + w_G). The constants are those of least squared error over all rows.

    Parameters
    ----------
    table : DataFrame
        A row per checkpoint and size of the pool, with the columns

        - ``seen``: n, for example steps × prompts per step × points; a factor is taken up by γ;
        - ``relative``: measured, by ``relative_distances``;
        - ``loss_memorising``, ``loss_generalising``: of the two predictors on the prompts trained on, means over
          positions;
        - ``bits``: C of the memorising strategy, ``compressed_bits(pool)``; 0 is that of the generalising one, or what
          a column ``bits_generalising`` says;
        - ``run`` (optional): which rows are of one training.
    n_bootstrap, seed, level
        Resamples with refits, their seed, and the probability that intervals hold the truth. Trainings are resampled
        where ``run`` tells at least two apart, as rows of one training are not independent, and rows otherwise.

    Returns
    -------
    StrategyPosterior

    Raises
    ------
    InvalidInputError
        If a column is missing or not finite, there are fewer than four rows, or relative distances are all the same.
    """
    resamples = check_integer(n_bootstrap, "n_bootstrap", minimum=1)
    rows = _Rows.of(table)
    if len(rows.seen) < 4 or np.ptp(rows.relative) == 0:
        raise InvalidInputError(
            "the table must have at least four rows whose relative distances differ, to fit three constants to; "
            f"{len(rows.seen)} rows from {rows.relative.min(initial=np.inf):.3g} to "
            f"{rows.relative.max(initial=-np.inf):.3g} were given."
        )
    best = _fitted(rows, _starts(rows))
    names = table["run"].astype(str).to_numpy() if "run" in table else np.arange(len(table)).astype(str)
    several = "run" in table and len(np.unique(names)) > 1
    groups = [np.flatnonzero(names == name) for name in np.unique(names)]
    groups = groups if several else [np.array([i]) for i in range(len(table))]
    rng = Draws(seed).shared("bootstrap")
    found: list[list[float]] = []
    for _ in range(resamples):
        drawn = rows.taken(np.concatenate([groups[i] for i in rng.integers(len(groups), size=len(groups))]))
        again = _fitted(drawn, [best])
        found.append([drawn.correlation(again), np.exp(again[0]), again[1], np.exp(again[2])])
    low, high = (np.asarray(end) for end in percentile_interval(np.array(found), level))
    return StrategyPosterior(
        gamma=float(np.exp(best[0])),
        alpha=float(best[1]),
        beta=float(np.exp(best[2])),
        correlation=rows.correlation(best),
        intervals={
            name: Interval(float(low[i]), float(high[i]))
            for i, name in enumerate(("correlation", "gamma", "alpha", "beta"))
        },
        resampled="run" if several else "row",
        n=len(table),
        n_resampled=len(groups),
        n_bootstrap=resamples,
        seed=seed,
        predicted=rows.weight(best),
    )


@dataclass(frozen=True, eq=False)
class _Rows:
    """What the weights of the strategies are made of, one entry a row; constants are (log γ, α, log β)."""

    seen: Float64[np.ndarray, " n"]
    relative: Float64[np.ndarray, " n"]
    advantage: Float64[np.ndarray, " n"]  # loss of the generalising strategy minus that of the memorising one
    bits: Float64[np.ndarray, " n"]
    bits_generalising: Float64[np.ndarray, " n"]

    @classmethod
    def of(cls, table: pd.DataFrame, *, measured: bool = True) -> _Rows:
        wanted = [name for name in _FITTED if measured or name != "relative"]
        missing = [name for name in wanted if name not in table]
        if missing:
            raise InvalidInputError(f"the table must have the columns {', '.join(wanted)}; it lacks {missing[0]!r}.")
        columns = {name: check_reals(table[name].to_numpy(), f"the column {name}") for name in wanted}
        columns.setdefault("relative", np.zeros(len(table)))
        columns["own"] = check_reals(table.get("bits_generalising", 0.0) * np.ones(len(table)), "bits_generalising")
        bad = next((name for name, values in columns.items() if not np.isfinite(values).all()), None)
        if bad is not None or (columns["seen"] < 0).any() or (columns["bits"] < 0).any() or (columns["own"] < 0).any():
            raise InvalidInputError(
                "the table must hold finite numbers, and seen and bits of at least 0; "
                f"{'a negative number' if bad is None else f'NaN or infinity in the column {bad}'} was given."
            )
        advantage = columns["loss_generalising"] - columns["loss_memorising"]
        return cls(columns["seen"], columns["relative"], advantage, columns["bits"], columns["own"])

    def taken(self, index: np.ndarray) -> _Rows:
        return _Rows(*(values[index] for values in vars(self).values()))

    def weight(self, constants: Float64[np.ndarray, " 3"]) -> Float64[np.ndarray, " n"]:
        """Posterior probability of the memorising strategy."""
        evidence = np.exp(np.clip(constants[0], -300, 300)) * self.seen ** (1 - constants[1]) * self.advantage
        beta = np.exp(constants[2])
        return expit(evidence - np.log(2) * (self.bits**beta - self.bits_generalising**beta))

    def correlation(self, constants: Float64[np.ndarray, " 3"]) -> float:
        predicted = self.weight(constants)
        if np.ptp(predicted) == 0 or np.ptp(self.relative) == 0:
            return float("nan")
        return float(np.corrcoef(predicted, self.relative)[0, 1])


def _starts(rows: _Rows, count: int = 6) -> list[Float64[np.ndarray, " 3"]]:
    """The best of a coarse grid; γ from where evidence and bits are of one size."""
    known = (rows.seen > 0) & (rows.advantage != 0) & (rows.bits > 0)
    if not known.any():
        return [np.zeros(3)]
    tried: list[tuple[float, Float64[np.ndarray, " 3"]]] = []
    for alpha in (-0.5, 0.0, 0.25, 0.5, 0.75, 0.95):
        for beta in np.geomspace(0.05, 1.2, 10):
            sizes = np.log(np.log(2) * rows.bits[known] ** beta / np.abs(rows.advantage[known]))
            level = sizes - (1 - alpha) * np.log(rows.seen[known])
            for log_gamma in np.quantile(level, (0.1, 0.3, 0.5, 0.7, 0.9)):
                constants = np.array([log_gamma, alpha, np.log(beta)])
                tried.append((float(np.square(rows.weight(constants) - rows.relative).sum()), constants))
    tried.sort(key=lambda pair: pair[0])
    return [constants for _, constants in tried[:count]]


def _fitted(rows: _Rows, starts: list[Float64[np.ndarray, " 3"]]) -> Float64[np.ndarray, " 3"]:
    results = [
        least_squares(
            lambda constants: rows.weight(constants) - rows.relative,
            np.clip(start, _BOUNDS[0] + 1e-6, _BOUNDS[1] - 1e-6),
            bounds=_BOUNDS,
            x_scale=(1.0, 0.1, 0.1),
        )
        for start in starts
    ]
    return min(results, key=lambda result: result.cost).x
