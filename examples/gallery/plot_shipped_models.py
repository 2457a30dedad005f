"""
Pretrained transformers beside least squares
============================================

Six layers, trained on Λ = I in 20 dimensions. All three follow least squares up to 20 examples, where it
becomes exact.
"""

import matplotlib.pyplot as plt
import numpy as np

from iclab.evaluation import error_curve
from iclab.models import load
from iclab.predictors import LeastSquares
from iclab.prompts import Gaussian, Linear, PromptDistribution

problem = PromptDistribution(Gaussian(np.eye(20)), Linear())
learners = {
    name: load(name) for name in ("linear-columns-d20-identity", "gpt2-columns-d20-identity", "gpt2-d20-identity")
}
for name, learner in {**learners, "least squares": LeastSquares()}.items():
    plt.semilogy(error_curve(learner, problem, 41, n_prompts=128, seed=0).mean / 20, label=name)
plt.ylim(1e-4, 2)
plt.xlabel("examples")
plt.ylabel("squared error / d")
plt.legend()
plt.show()
