"""
Γ⁻¹ is not Λ⁻¹
==============

The trained layer predicts with Γ⁻¹. Where an eigenvalue λ is small against tr Λ / N it gives its direction
far less weight than Λ⁻¹ would.
"""

import matplotlib.pyplot as plt
import numpy as np

from iclab.prompts import Gaussian
from iclab.theory import optimal_learner

eigenvalues = np.geomspace(0.001, 1, 20)
for n_train in (10, 100, 1000):
    learner = optimal_learner(Gaussian(np.diag(eigenvalues)), n_train)
    plt.loglog(eigenvalues, np.diag(learner), "o-", markersize=3, label=f"N = {n_train}")
plt.loglog(eigenvalues, 1 / eigenvalues, "k--", label="Λ⁻¹")
plt.xlabel("eigenvalue of Λ")
plt.ylabel("weight of its direction")
plt.legend()
plt.show()
