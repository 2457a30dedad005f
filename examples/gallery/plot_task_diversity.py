"""
Task diversity: memorise the pool, or learn the law
===================================================

Tasks come from a pool of M weight vectors. The Bayes predictor for the pool wins on the pool and loses on new
tasks; ridge is Bayes for new ones.
"""

import matplotlib.pyplot as plt
import numpy as np

from iclab.evaluation import error_curve
from iclab.predictors import FinitePoolBayes, Ridge
from iclab.prompts import FinitePool, Gaussian, Linear, PromptDistribution

inputs, sizes = Gaussian(np.eye(8)), 2 ** np.arange(1, 11)
new = PromptDistribution(inputs, Linear(), noise=0.5)
errors = []
for size in sizes:
    pool = np.random.default_rng(0).standard_normal((size, 8))
    own = PromptDistribution(inputs, FinitePool(pool), noise=0.5)
    pairs = [(FinitePoolBayes(pool, 0.5), own), (FinitePoolBayes(pool, 0.5), new), (Ridge(0.25), own)]
    errors.append(
        [error_curve(predictor, law, 17, n_prompts=500, seed=0).mean[1:].mean() / 8 for predictor, law in pairs]
    )
plt.loglog(sizes, errors, label=["pool's Bayes on the pool", "pool's Bayes on new tasks", "ridge on the pool"])
plt.xlabel("tasks in the pool, M")
plt.ylabel("squared error / d, mean over positions")
plt.legend()
plt.show()
