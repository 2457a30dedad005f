"""
What one layer of a mixer can be
================================

Linear attention averages, DeltaNet is Kaczmarz's method, Mesa is recursive least squares. Each line is an
exact learner; d = 20.
"""

import matplotlib.pyplot as plt
import numpy as np

from iclab.evaluation import error_curve
from iclab.predictors import Averaging, DeltaRule, Kaczmarz, RecursiveLeastSquares
from iclab.prompts import Gaussian, Linear, PromptDistribution

problem = PromptDistribution(Gaussian(np.eye(20)), Linear())
learners = {
    "linear attention: averaging": Averaging(),
    "delta rule at its best constant rate": DeltaRule(1 / 22),
    "DeltaNet, unit keys: Kaczmarz": Kaczmarz(),
    "Mesa: recursive least squares": RecursiveLeastSquares(1e-9),
}
for name, learner in learners.items():
    curve = error_curve(learner, problem, 61, n_prompts=500, seed=0)
    plt.semilogy(curve.mean / 20, label=name)
plt.semilogy((1 - 1 / 20) ** np.arange(61), "k:", label="(1 − 1/d)^k")
plt.ylim(1e-3, 3)
plt.xlabel("examples")
plt.ylabel("squared error / d")
plt.legend()
plt.show()
