"""
Classical learners at every context length
==========================================

Mean squared error of four learners on linear functions in five dimensions.
"""

import matplotlib.pyplot as plt
import numpy as np

from iclab.evaluation import error_curve
from iclab.predictors import Averaging, LeastSquares, NearestNeighbors, Ridge
from iclab.prompts import Gaussian, Linear, PromptDistribution

problem = PromptDistribution(Gaussian(np.eye(5)), Linear(), noise=0.5)
for learner in (LeastSquares(), Ridge(0.25), Averaging(), NearestNeighbors(3)):
    curve = error_curve(learner, problem, 21, n_prompts=2000, seed=0)
    plt.plot(curve.mean, label=repr(learner))
plt.yscale("log")
plt.legend()
plt.show()
