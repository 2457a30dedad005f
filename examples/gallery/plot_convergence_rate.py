"""
How fast, and what the proof promises
=====================================

The proof of Theorem 4 bounds the loss by an exponential, through a Polyak-Łojasiewicz inequality. The bound holds at
every time; the rate at which the flow ends is larger.
"""

import matplotlib.pyplot as plt
import numpy as np

from iclab.flow import gradient_flow
from iclab.prompts import Gaussian
from iclab.theory import assumption3, certificate

law, theta, scale = Gaussian(np.diag([1.0, 0.5])), np.eye(2) / np.sqrt(2), 0.5
proof = certificate(law, 20, theta, scale)
flow = gradient_flow(assumption3(theta, scale), law, 20, np.inf)
times = np.linspace(0, 30, 300)
start = flow.excess(0.0)
plt.semilogy(times, flow.excess(times), label="gradient flow")
plt.semilogy(times, start * np.exp(-proof.pl_constant * times), "C0:", label="bound of the proof")
last = flow.excess(times[-1])
rate = proof.asymptotic_rate
plt.semilogy(times, last * np.exp(rate * (times[-1] - times)), "k--", linewidth=0.8, label="rate at the end, exact")
plt.ylim(1e-12, 2 * start)
plt.xlabel("time")
plt.ylabel("loss above its minimum")
plt.legend()
plt.show()
