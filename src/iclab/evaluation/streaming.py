"""Means over streams of prompts: constant memory, any number of workers, one result.

Prompts are drawn in chunks whose size depends on the shape of a prompt alone. Each chunk is reduced to its
moments, and the moments are merged in index order; so the numbers are the same bits for one process, for
joblib over cores and for joblib over a Dask cluster. One process draws a chunk while it measures the one before, so
that a GPU need not wait for prompts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeAlias

import joblib
import numpy as np
from jaxtyping import Float64, Int64

from iclab.foundations import InvalidInputError, check_integer
from iclab.prompts import Prompts
from iclab.prompts.labels import labels_of

Samples: TypeAlias = Float64[np.ndarray, "B *shape"]

_CHUNK_PROMPTS = 512
_CHUNK_NUMBERS = 1 << 21


class SamplesPrompts(Protocol):
    """What evaluation needs of a distribution: ``PromptDistribution``, or anything that samples like it."""

    @property
    def dimension(self) -> int:
        """Length d of an input."""
        ...

    def sample(
        self, n_prompts: int, n_points: int, *, seed: int, step: int = 0, start: int = 0, stream: str = "evaluation"
    ) -> Prompts:
        """Prompts ``start`` … ``start + n_prompts − 1``."""
        ...


@dataclass(frozen=True, eq=False)
class Moments:
    """Count, mean and summed squared deviations of independent samples, mergeable (Chan, Golub, LeVeque 1983).

    Attributes
    ----------
    n : int
        Number of samples (prompts).
    mean, squares : ndarray
        Mean and Σ (sample − mean)², of the shape of one sample.
    """

    n: int
    mean: Float64[np.ndarray, "*shape"]
    squares: Float64[np.ndarray, "*shape"]

    @classmethod
    def of(cls, samples: Samples) -> Moments:
        """Moments of samples stacked along the first axis."""
        mean = samples.mean(axis=0)
        return cls(samples.shape[0], mean, np.square(samples - mean).sum(axis=0))

    def merge(self, other: Moments) -> Moments:
        """Moments of both sets of samples together."""
        n = self.n + other.n
        gap = other.mean - self.mean
        mean = self.mean + gap * (other.n / n)
        return Moments(n, mean, self.squares + other.squares + gap**2 * (self.n * other.n / n))

    @property
    def stderr(self) -> Float64[np.ndarray, "*shape"]:
        """Standard error of the mean, of the shape of one sample."""
        return np.sqrt(self.squares / (self.n - 1) / self.n)


@dataclass(frozen=True, eq=False)
class Histogram:
    """Counts of non-negative samples in bins 1/32 of an octave wide: quantiles of a stream to 1.6 %.

    A float64's leading bits order non-negative numbers, so the bin is read off the bits: sign, exponent and
    the first five bits of the fraction.
    """

    counts: Int64[np.ndarray, "*shape bins"]

    _SHIFT = 47  # 52 bits of fraction less five
    _LOWEST = (1023 - 120) << 5  # 2^−120: smaller samples share the lowest bin
    _BINS = 200 << 5  # up to 2^80

    @classmethod
    def of(cls, samples: Samples) -> Histogram:
        """Counts of samples stacked along the first axis."""
        shape = samples.shape[1:]
        bins = np.ascontiguousarray(samples).view(np.int64) >> cls._SHIFT
        bins = np.clip(bins - cls._LOWEST, 0, cls._BINS - 1).reshape(samples.shape[0], -1)
        cells = bins.shape[1]
        flat = np.bincount((bins + np.arange(cells) * cls._BINS).ravel(), minlength=cells * cls._BINS)
        return cls(flat.reshape(*shape, cls._BINS))

    def merge(self, other: Histogram) -> Histogram:
        """Counts of both sets of samples together."""
        return Histogram(self.counts + other.counts)

    def quantile(self, level: float) -> Float64[np.ndarray, "*shape"]:
        """The sample quantile of each cell: the middle of the bin it falls into, 0 in the lowest bin."""
        cumulative = np.cumsum(self.counts, axis=-1)
        rank = np.maximum(np.ceil(level * cumulative[..., -1:]), 1)
        index = np.argmax(cumulative >= rank, axis=-1)
        lower = ((index + self._LOWEST) << self._SHIFT).view(np.float64)
        upper = ((index + self._LOWEST + 1) << self._SHIFT).view(np.float64)
        return np.where(index == 0, 0.0, (lower + upper) / 2)


def chunk_size(n_points: int, dimension: int) -> int:
    """Prompts per chunk: a function of a prompt's shape alone, never of the machine or the workers."""
    return max(1, min(_CHUNK_PROMPTS, _CHUNK_NUMBERS // (n_points * dimension)))


def width_of(distribution: SamplesPrompts) -> int:
    """Numbers per point of a prompt: of its input, or of its label if these are more."""
    return max(distribution.dimension, labels_of(distribution).size)


def chunks(n_prompts: int, size: int) -> Iterator[tuple[int, int]]:
    """(start, count) of consecutive chunks that cover ``n_prompts`` prompts."""
    for start in range(0, n_prompts, size):
        yield start, min(size, n_prompts - start)


def accumulate(
    measure: Callable[[Prompts], Samples],
    distribution: SamplesPrompts,
    n_points: int,
    *,
    n_prompts: int,
    seed: int,
    summaries: Sequence[type[Moments] | type[Histogram]] = (Moments,),
    n_jobs: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Any]:
    """Summaries of ``measure`` over prompts 0 … n_prompts − 1 of a distribution.

    Parameters
    ----------
    measure : callable
        Prompts to samples, one per prompt stacked along the first axis; for several workers it must pickle.
    distribution : PromptDistribution
        Where prompts come from.
    n_points : int
        Positions P of a prompt.
    n_prompts : int
        At least 2, for a standard error.
    seed : int
        Key of the evaluation stream.
    summaries : sequence of types
        What to keep of the samples: ``Moments``, ``Histogram``.
    n_jobs : int, optional
        joblib workers; None takes what an enclosing ``joblib.parallel_config`` says (also a Dask cluster,
        ``parallel_config("dask")``), or one. The result does not depend on it.
    progress : callable, optional
        Called with (prompts done, prompts in all).

    Returns
    -------
    list
        One summary per type, in the order of ``summaries``.

    Raises
    ------
    InvalidInputError
        If a number is out of range, or the distribution cannot be sampled.
    """
    n_points = check_integer(n_points, "n_points", minimum=1)
    n_prompts = check_integer(n_prompts, "n_prompts", minimum=2)
    seed = check_integer(seed, "seed", minimum=0)
    if n_jobs == 0:
        raise InvalidInputError(
            "n_jobs must be a number of workers, or negative for all cores but so many; 0 was given."
        )
    if isinstance(distribution, type) or not hasattr(distribution, "sample"):
        raise InvalidInputError(
            f"a distribution must have dimension and sample, as a PromptDistribution; {distribution!r} was given."
        )
    size = chunk_size(n_points, width_of(distribution))
    asked: tuple[Any, ...] = (distribution, n_points, seed)
    if joblib.effective_n_jobs(n_jobs) == 1:  # pyright: ignore[reportArgumentType]
        drawn = _ahead(partial(_drawn, *asked), chunks(n_prompts, size))
        results: Any = (_summarise(measure, prompts, summaries) for prompts in drawn)
    else:
        work = (
            joblib.delayed(_drawn_and_summarised)(measure, tuple(summaries), *asked, piece)
            for piece in chunks(n_prompts, size)
        )
        results = joblib.Parallel(n_jobs=n_jobs, return_as="generator")(work)
    totals: list[Any] = []
    done = 0
    for parts in results:
        totals = parts if not totals else [total.merge(part) for total, part in zip(totals, parts, strict=True)]
        done = min(done + size, n_prompts)
        if progress is not None:
            progress(done, n_prompts)
    return totals


def _ahead(draw: Callable[[tuple[int, int]], Prompts], pieces: Iterable[tuple[int, int]]) -> Iterator[Prompts]:
    """Prompts of each piece, drawn in a thread while those of the piece before are used."""
    with ThreadPoolExecutor(1, thread_name_prefix="prompts") as thread:
        first, *rest = pieces
        prompts = draw(first)
        for piece in rest:
            coming = thread.submit(draw, piece)
            yield prompts
            prompts = coming.result()
        yield prompts


def _drawn(distribution: SamplesPrompts, n_points: int, seed: int, piece: tuple[int, int]) -> Prompts:
    start, count = piece
    return distribution.sample(count, n_points, seed=seed, start=start, stream="evaluation")


def _summarise(
    measure: Callable[[Prompts], Samples], prompts: Prompts, summaries: Sequence[type[Moments] | type[Histogram]]
) -> list[Any]:
    samples = measure(prompts)
    return [summary.of(samples) for summary in summaries]


def _drawn_and_summarised(
    measure: Callable[[Prompts], Samples],
    summaries: tuple[type[Moments] | type[Histogram], ...],
    distribution: SamplesPrompts,
    n_points: int,
    seed: int,
    piece: tuple[int, int],
) -> list[Any]:
    return _summarise(measure, _drawn(distribution, n_points, seed, piece), summaries)
