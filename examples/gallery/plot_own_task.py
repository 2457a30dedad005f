"""
A task of one's own
===================

An object with ``draw`` and ``mean_square`` is a law of functions. This one is a sine wave along a random
direction.
"""

import matplotlib.pyplot as plt
import numpy as np

from iclab.evaluation import error_curve
from iclab.predictors import LeastSquares, NearestNeighbors
from iclab.prompts import Gaussian, PromptDistribution


class Wave:
    """h(x) = √2 sin(w'x + φ), w ~ N(0, I), φ uniform."""

    def draw(self, draws, dimension):
        w = draws.normals("task", dimension)
        phase = 2 * np.pi * draws.at(channel=1).uniforms("task", 1)
        return lambda xs: np.sqrt(2) * np.sin(np.einsum("bpd,bd->bp", xs, w) + phase)

    def mean_square(self, covariance):
        return 1.0


problem = PromptDistribution(Gaussian(np.eye(2)), Wave())
for name, learner in {"3 nearest neighbours": NearestNeighbors(3), "least squares": LeastSquares()}.items():
    curve = error_curve(learner, problem, 101, n_prompts=500, seed=0)
    plt.plot(curve.mean, label=name)
plt.ylim(0, 2)
plt.xlabel("examples")
plt.ylabel("squared error")
plt.legend()
plt.show()
