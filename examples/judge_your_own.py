"""Judge an in-context learner, a task and a shift of one's own, without touching the package.

Run it as it stands, or on the command line: ``iclab evaluate judge_your_own:shrunk --suite paper``.
"""

from dataclasses import dataclass

import numpy as np

from iclab.evaluation import compare, differences, nearest_algorithm
from iclab.predictors import Averaging, LeastSquares, NearestNeighbors, Ridge
from iclab.prompts import Gaussian, Linear, PromptDistribution, shift


def shrunk(prompts):
    """A predictor is any function of prompts: least squares, shrunk by half a dimension's worth."""
    examples = np.arange(prompts.n_points)
    return examples / (examples + 0.5) * LeastSquares()(prompts)


@dataclass(frozen=True)
class Sine:
    """A law of tasks: h(x) = √2 sin(w'x), w ~ N(0, I)."""

    def mean_square(self, covariance):
        """E h(x)² = 1 − E exp(−2 w'Λw): the error of predicting 0."""
        return 1 - 1 / np.sqrt(np.linalg.det(np.eye(len(covariance)) + 4 * covariance))

    def draw(self, draws, dimension):
        """One function per addressed prompt."""
        w = draws.normals("task", dimension)
        return lambda xs: np.sqrt(2) * np.sin(np.einsum("bpd,bd->bp", xs, w))


@dataclass(frozen=True)
class FlippedQueries:
    """A shift: what it does to inputs and queries."""

    def __call__(self, xs, queries, draws):
        """Queries mirrored at the origin."""
        return xs, -queries


if __name__ == "__main__":
    linear = PromptDistribution(Gaussian.isotropic(4), Linear(), noise=0.5)
    distributions = {
        "linear": linear,
        "noisier": shift("noise=1").apply(linear),
        "sine": PromptDistribution(Gaussian.isotropic(4), Sine()),
        "flipped": PromptDistribution(Gaussian.isotropic(4), Linear(), 0.5, changes=(FlippedQueries(),)),
    }
    predictors = {"shrunk": shrunk, "ls": LeastSquares(), "bayes": Ridge.bayes(0.5), "3-nn": NearestNeighbors(3)}

    table = compare(predictors, distributions, 13, n_prompts=2000, seed=0)
    last = table[table["position"] == 12]
    print(last.pivot_table(index="distribution", columns="predictor", values="mean").round(3))

    excess = differences(predictors, {"linear": linear}, 13, baseline="bayes", n_prompts=2000, seed=0)
    print(excess[excess["position"] == 12].round(4).to_string(index=False))

    candidates = {"ls": LeastSquares(), "bayes": Ridge.bayes(0.5), "averaging": Averaging()}
    verdicts = nearest_algorithm(shrunk, candidates, {"linear": linear}, 13, n_prompts=500, seed=0).verdicts
    print(verdicts[["position", "nearest", "distance", "frequency", "ties"]].to_string(index=False))
