"""
Double descent of in-context learning
=====================================

Ridgeless linear attention fitted to τd² prompts. At τ = 1 it interpolates, and its error is infinite (Lu et
al., 2025).
"""

import matplotlib.pyplot as plt
import numpy as np

from iclab.theory import ridgeless_asymptotics

ratios = np.setdiff1d(np.round(np.geomspace(0.1, 20, 200), 4), [1.0])
for kappa in (0.5, 1, 4):
    limits = [ridgeless_asymptotics(alpha=10, tau=tau, kappa=kappa, noise_variance=0.01) for tau in ratios]
    plt.loglog(ratios, [limit.icl for limit in limits], label=f"new tasks, κ = {kappa}")
plt.loglog(ratios, [limit.idg for limit in limits], "k:", label="tasks of the pool, κ = 4")
plt.ylim(0.01, 10)
plt.xlabel("prompts / d²")
plt.ylabel("error")
plt.legend()
plt.show()
