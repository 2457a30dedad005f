"""
One label hijacks a prediction
==============================

For every linear learner the smallest change of k labels that forces a wanted prediction is a closed form.
Median over prompts, d = 5.
"""

import matplotlib.pyplot as plt
import numpy as np

from iclab.predictors import Averaging, LeastSquares, Ridge
from iclab.prompts import Gaussian, Linear, PromptDistribution
from iclab.theory import label_attack_sizes

prompts = PromptDistribution(Gaussian(np.eye(5)), Linear(), noise=0.5).sample(400, 21, seed=0)
xs, ys, query = prompts.xs[:, :20], prompts.ys[:, :20], prompts.queries[:, 20]
for name, learner in {
    "least squares": LeastSquares(),
    "ridge, penalty 5": Ridge(5.0),
    "averaging": Averaging(),
}.items():
    sizes = label_attack_sizes(learner, xs, ys, query, target=prompts.targets[:, 20] + 5)
    plt.plot(range(1, 21), np.median(sizes, axis=0), label=name)
plt.xlabel("labels that may change")
plt.ylabel("Euclidean size of the change")
plt.title("Moving the prediction 5 above the truth")
plt.legend()
plt.show()
