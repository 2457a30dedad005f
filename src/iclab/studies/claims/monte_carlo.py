"""Means over prompts drawn from seeds, for sizes that exact cubature cannot reach."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from iclab.foundations import Draws, Estimate
from iclab.prompts import PromptDistribution, Prompts
from iclab.studies.claims.bench import Bench

# xs, ys, query and target of a block of prompts.
Drawn: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
# Prompts per block: memory stays small, and the block size is part of no result.
BLOCK = 4096


def mean_over_prompts(
    bench: Bench,
    score: Callable[[Draws], np.ndarray],
    n_prompts: int,
    *,
    channel: int = 0,
) -> Estimate:
    """Mean of one number per prompt.

    Parameters
    ----------
    bench : Bench
        Its claim and seed address the prompts.
    score : callable
        Maps the addresses of a block of B prompts to numbers of shape (B,).
    n_prompts : int
        At standard effort.
    channel : int
        Separates several means of one claim.
    """
    count = bench.samples(n_prompts)
    blocks = []
    for start in range(0, count, BLOCK):
        draws = Draws(bench.seed, "verification", bench.address, start, min(BLOCK, count - start), channel)
        blocks.append(score(draws))
    return Estimate.from_samples(np.concatenate(blocks), bench.seed)


def prompts_at(law: PromptDistribution, draws: Draws, n_points: int) -> Prompts:
    """The addressed prompts of a distribution; each channel has its own."""
    step = (draws.step + draws.channel) % (1 << 32)
    return law.sample(draws.count, n_points, seed=draws.seed, step=step, start=draws.start, stream=draws.purpose)


def squared_error(
    bench: Bench,
    draw: Callable[[Draws], Drawn],
    predict: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray],
    n_prompts: int,
    *,
    channel: int = 0,
) -> Estimate:
    """Mean squared error of a prediction from (xs, ys, query) against the target, all four returned by ``draw``."""

    def score(draws: Draws) -> np.ndarray:
        xs, ys, query, target = draw(draws)
        return (predict(xs, ys, query) - target) ** 2

    return mean_over_prompts(bench, score, n_prompts, channel=channel)


def describe(estimates: list[Estimate]) -> str:
    """Method text: n, the largest relative standard error and the seed."""
    relative = max(e.standard_error / abs(e.value) for e in estimates if e.value != 0)
    n = min(e.n for e in estimates)
    return f"Monte Carlo, n = {n} prompts each, relative standard error ≤ {relative:.1%}, seed {estimates[0].seed}"
