"""A Monte Carlo number with what is needed to judge and to repeat it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64


@dataclass(frozen=True)
class Estimate:
    """Mean of independent samples, with its standard error.

    Attributes
    ----------
    value : float
        Sample mean.
    standard_error : float
        Sample standard deviation divided by √n.
    n : int
        Number of independent samples.
    seed : int
        Seed that drew them.
    """

    value: float
    standard_error: float
    n: int
    seed: int

    @classmethod
    def from_samples(cls, samples: Float64[np.ndarray, " n"], seed: int) -> Estimate:
        """Mean and standard error of independent ``samples``, shape (n,), n ≥ 2."""
        n = samples.shape[0]
        return cls(float(samples.mean()), float(samples.std(ddof=1) / np.sqrt(n)), n, seed)

    def z_score(self, exact: float) -> float:
        """(value − exact) / standard error; 0 when both agree and the standard error is 0."""
        deviation = self.value - exact
        if self.standard_error == 0:
            return 0.0 if deviation == 0 else float(np.copysign(np.inf, deviation))
        return deviation / self.standard_error
