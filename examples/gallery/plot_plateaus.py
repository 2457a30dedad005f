"""
Plateaus of separate keys and queries
=====================================

Five heads of rank one learn one eigenvector of Λ after the other. The dashed levels are predicted (Zhang,
Singh, Latham and Saxe, 2025).
"""

import matplotlib.pyplot as plt
import numpy as np

from iclab.flow import FactoredHeads, head_flow
from iclab.prompts import Gaussian
from iclab.theory import plateau_losses

covariance = np.diag(np.arange(1, 5) / 10)
start = FactoredHeads.random(5, 1, 4, scale=0.01, seed=1)
times = np.linspace(0, 3000, 600)
flow = head_flow(start, Gaussian(covariance), 31, times[-1])
plt.plot(times, flow.error(times))
for level in plateau_losses(covariance, 31):
    plt.axhline(level, color="grey", linestyle="--", linewidth=0.8)
plt.xlabel("time")
plt.ylabel("mean squared error")
plt.show()
