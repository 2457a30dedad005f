"""
The same error is not the same algorithm
========================================

Inputs that live in half of the space. The model trained on Λ = I breaks; the one trained on random
covariances does far better.
"""

import matplotlib.pyplot as plt
import numpy as np

from iclab.evaluation import error_curve
from iclab.models import load
from iclab.predictors import LeastSquares
from iclab.prompts import Gaussian, Linear, PromptDistribution, shift

problem = shift("half_subspace").apply(PromptDistribution(Gaussian(np.eye(20)), Linear()))
learners = {name: load(name) for name in ("linear-columns-d20-identity", "gpt2-columns-d20-random-exponential")}
for name, learner in {**learners, "least squares": LeastSquares()}.items():
    plt.semilogy(error_curve(learner, problem, 41, n_prompts=128, seed=0).mean / 20, label=name)
plt.ylim(1e-5, 5)
plt.xlabel("examples")
plt.ylabel("squared error / d")
plt.legend()
plt.show()
