"""
Error of the trained layer by context length
============================================

The layer that gradient flow finds (Theorem 4) stops improving at a floor set by its training length N.
Corollary 6 bounds it.
"""

import matplotlib.pyplot as plt
import numpy as np

from iclab.prompts import Gaussian
from iclab.theory import corollary6_bound, expected_risk

covariates = Gaussian(np.diag(1 / np.arange(1, 6)))
lengths = np.geomspace(1, 1000, 31).astype(int)
for n_train, colour in zip((10, 40, 160), ("C0", "C1", "C2"), strict=True):
    plt.loglog(lengths, [expected_risk(covariates, n_train, m) for m in lengths], colour, label=f"N = {n_train}")
    plt.loglog(lengths, [corollary6_bound(covariates.covariance, n_train, m) for m in lengths], colour + ":")
plt.xlabel("examples M in the prompt")
plt.ylabel("squared error")
plt.title("Dotted: the bound of Corollary 6")
plt.legend()
plt.show()
