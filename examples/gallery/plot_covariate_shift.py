"""
Inputs of another size
======================

Multiply Λ by c at test. The layer keeps its Γ⁻¹ and fails on both sides of c = 1; least squares does not
notice (§4.2).
"""

import matplotlib.pyplot as plt
import numpy as np

from iclab.prompts import Gaussian
from iclab.theory import optimal_learner, shift_risk

covariance = np.diag(1 / np.arange(1, 6))
learner = optimal_learner(Gaussian(covariance), 40)
factors = np.geomspace(0.1, 10, 41)
for n_test in (20, 100, 1000):
    errors = [shift_risk(learner, c * covariance, c * covariance, n_test, np.eye(5)) for c in factors]
    plt.loglog(factors, errors / (factors * np.trace(covariance)), label=f"M = {n_test}")
plt.axhline(1, color="grey", linewidth=0.8)
plt.xlabel("factor c on Λ at test")
plt.ylabel("error / error of predicting zero")
plt.legend()
plt.show()
