"""
Transformers on random covariances: Figure 1
============================================

GPT-2 trained on prompts of N examples with a Λ of its own for every prompt. Within N it follows its law well; beyond N,
which it has never seen, its error rises. The layer of Theorem 8 stops at its floor.
"""

import matplotlib.pyplot as plt
import numpy as np

from iclab.evaluation import error_curve
from iclab.models import load
from iclab.predictors import LeastSquares
from iclab.prompts import Linear, PromptDistribution, RandomDiagonal
from iclab.theory import expected_risk

law = RandomDiagonal.exponential(20)
problem, lengths = PromptDistribution(law, Linear()), np.arange(1, 101)
for n_train, name in {40: "gpt2-d20-random-exponential", 100: "gpt2-d20-random-exponential-N100"}.items():
    line = plt.semilogy(error_curve(load(name), problem, 101, n_prompts=64, seed=0).mean / 20, label=f"N = {n_train}")
    plt.axvline(n_train, color=line[0].get_color(), linewidth=0.8, linestyle=":")
plt.semilogy(lengths, [expected_risk(law, 100, m) / 20 for m in lengths], "C2", label="one layer, N = 100")
plt.semilogy(error_curve(LeastSquares(), problem, 101, n_prompts=64, seed=0).mean / 20, "k--", label="least squares")
plt.ylim(1e-4, 2)
plt.xlabel("examples")
plt.ylabel("squared error / d")
plt.legend()
plt.show()
