"""
Knowing that the function is sparse
===================================

The exact posterior over all subsets beats the lasso, and both beat least squares; three of ten coordinates
matter.
"""

import matplotlib.pyplot as plt
import numpy as np

from iclab.evaluation import error_curve
from iclab.predictors import Lasso, LeastSquares, SparseBayes
from iclab.prompts import Gaussian, PromptDistribution, SparseLinear

problem = PromptDistribution(Gaussian(np.eye(10)), SparseLinear(3), noise=0.1)
for name, learner in {"Bayes": SparseBayes(3, 0.1), "lasso": Lasso(0.05), "least squares": LeastSquares()}.items():
    curve = error_curve(learner, problem, 21, n_prompts=200, seed=0)
    plt.semilogy(curve.mean, label=name)
plt.ylim(1e-3, None)
plt.xlabel("examples")
plt.ylabel("squared error")
plt.legend()
plt.show()
