"""
Random covariances: the failure of §4.3
=======================================

With a Λ of its own for every prompt, one layer does not become consistent even with endless prompts (Theorem
8). The curves are exact.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import expon

from iclab.prompts import Gaussian, RandomDiagonal
from iclab.theory import expected_risk

lengths = np.geomspace(1, 10_000, 25).astype(int)
for name, covariates in {"Λ = I": Gaussian(np.eye(5)), "λ ~ Exponential(1)": RandomDiagonal([expon()] * 5)}.items():
    plt.loglog(lengths, [expected_risk(covariates, np.inf, m) for m in lengths], label=name)
plt.xlabel("examples M in the prompt")
plt.ylabel("squared error, N → ∞")
plt.legend()
plt.show()
