"""
Tasks and queries of another law
================================

Of the weights w the error depends on E ww' alone, and on the query through its covariance (§4.2). The layer is judged
on tasks and on queries in one eigendirection of Λ at a time.
"""

import matplotlib.pyplot as plt
import numpy as np

from iclab.prompts import Gaussian
from iclab.theory import optimal_learner, shift_risk

eigenvalues = 1 / np.arange(1, 6)
covariance, directions = np.diag(eigenvalues), 5 * np.stack([np.diag(row) for row in np.eye(5)])
learner, lengths = optimal_learner(Gaussian(covariance), 40), np.geomspace(1, 10_000, 41).astype(int)
figure, axes = plt.subplots(1, 2, sharey=True, figsize=(9, 4))
for value, direction in zip(eigenvalues, directions, strict=True):
    tasks = [shift_risk(learner, covariance, covariance, m, direction) for m in lengths]
    queries = [shift_risk(learner, covariance, direction * covariance, m, np.eye(5)) for m in lengths]
    axes[0].loglog(lengths, np.divide(tasks, np.trace(direction @ covariance)), label=f"λ = {value:.2f}")
    axes[1].loglog(lengths, np.divide(queries, np.trace(direction @ covariance)))
axes[0].set_title("w along one eigenvector")
axes[1].set_title("query along one eigenvector")
axes[0].set_ylabel("error / error of predicting zero")
for ax in axes:
    ax.set_xlabel("examples M in the prompt")
axes[0].legend()
plt.show()
