"""
The linear map that a transformer applies
=========================================

A trained model is nearly linear in the query. Its map, averaged over prompts, beside that of the best single
layer, Γ⁻¹.
"""

import matplotlib.pyplot as plt
import numpy as np

from iclab.evaluation import effective_learner
from iclab.models import load
from iclab.prompts import Gaussian, Linear, PromptDistribution

prompts = PromptDistribution(Gaussian(np.eye(20)), Linear()).sample(48, 21, seed=0)
learner = effective_learner(load("gpt2-columns-d20-identity"), prompts)
positions = np.arange(1, 21)
plt.plot(positions, learner.explained[1:])
plt.xlabel("examples")
plt.ylabel("share explained by x'K (1/M) Σ y x")
plt.title("One layer would have 1 everywhere")
plt.show()
