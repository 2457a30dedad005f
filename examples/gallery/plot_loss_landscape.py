"""
A loss that is not convex, and its valley
=========================================

In one dimension the layer predicts with the product u·U of two weights. The minima of the population loss form the
hyperbola u·U = Γ⁻¹; gradient flow from a balanced start (Assumption 3) reaches it on the diagonal.
"""

import matplotlib.pyplot as plt
import numpy as np

from iclab.flow import gradient_flow
from iclab.prompts import Gaussian
from iclab.theory import LSAParameters, assumption3, optimal_learner, population_loss

law, zero, grid = Gaussian(np.eye(1)), np.zeros(1), np.linspace(-1.5, 1.5, 61)
losses = [
    [population_loss(LSAParameters.from_blocks(zero, u, U * np.eye(1), zero), law, 10) for U in grid] for u in grid
]
plt.contourf(grid, grid, losses, levels=np.linspace(0, 3, 25), extend="max", cmap="Blues")
u = np.linspace(0.4, 1.5, 50)
for side in (1, -1):
    plt.plot(side * optimal_learner(law, 10)[0, 0] / u, side * u, "C1--")
flow = gradient_flow(assumption3(np.eye(1), 0.1), law, 10, np.inf)
path = [flow.parameters(t).blocks for t in np.linspace(0, 20, 100)]
plt.plot([U[0, 0] for _, _, U, _ in path], [u for _, u, _, _ in path], "C3", linewidth=3)
plt.xlim(-1.5, 1.5)
plt.xlabel("U")
plt.ylabel("u")
plt.title("Dashed: the minima; thick: gradient flow")
plt.show()
