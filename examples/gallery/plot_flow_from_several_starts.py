"""
Gradient flow from several starts
=================================

From Assumption 3 the loss first waits near that of predicting zero, the longer the smaller the start. Then it
falls at one rate.
"""

import matplotlib.pyplot as plt
import numpy as np

from iclab.flow import gradient_flow
from iclab.prompts import Gaussian
from iclab.theory import assumption3

covariates, theta = Gaussian(np.diag([1.0, 0.5, 0.25])), np.eye(3) / np.sqrt(3)
times = np.linspace(0, 150, 400)
for scale in (0.001, 0.01, 0.1, 0.5):
    trajectory = gradient_flow(assumption3(theta, scale), covariates, 20, np.inf)
    plt.semilogy(times, trajectory.excess(times), label=f"σ = {scale}")
plt.ylim(1e-8, None)
plt.xlabel("time")
plt.ylabel("loss above its minimum")
plt.legend()
plt.show()
