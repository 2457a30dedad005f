"""
A prompt as the layer reads it
==============================

Each example is a column (x, y) of the matrix E of (4), the query a column (x, 0). One layer (3) adds a weighted sum
of the labels to the empty place.
"""

import matplotlib.pyplot as plt
import numpy as np

from iclab.prompts import Gaussian, Linear, PromptDistribution
from iclab.theory import embed, lsa, minimizer

law = Gaussian(np.eye(3))
prompts = PromptDistribution(law, Linear()).sample(1, 13, seed=1)
tokens = embed(prompts.xs[0, :12], prompts.ys[0, :12], prompts.queries[0, 12])
answered = lsa(tokens, minimizer(law, 12))
figure, axes = plt.subplots(2, sharex=True)
for ax, matrix, title in zip(axes, (tokens, answered), ("E", "after the layer"), strict=True):
    ax.imshow(matrix, cmap="RdBu", vmin=-3, vmax=3, aspect="auto")
    ax.set_yticks(range(4), ["x₁", "x₂", "x₃", "y"])
    ax.set_title(f"{title}: last label {matrix[-1, -1]:.2f}, truth {prompts.targets[0, 12]:.2f}")
axes[1].set_xlabel("column: twelve examples, and the query")
plt.show()
