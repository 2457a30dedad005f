"""
Training one layer
==================

SGD on fresh prompts ends where theory says: at the minimum of the population loss (Theorem 4).
"""

import tempfile

import matplotlib.pyplot as plt
import numpy as np

from iclab.prompts import Gaussian
from iclab.theory import expected_risk
from iclab.training import preset, train

run = train(
    preset("lsa", dimension=5, n_train=20, steps=600, batch_size=256, log_every=10), tempfile.mkdtemp() + "/layer"
)
losses = run.losses()
plt.semilogy(losses["step"], losses["loss"], label="training loss")
plt.axhline(expected_risk(Gaussian(np.eye(5)), 20, 20) / 5, color="grey", linestyle="--", label="risk of the minimiser")
plt.xlabel("step")
plt.ylabel("squared error at the query / d")
plt.legend()
plt.show()
