"""ROS2, the Rosenbrock method of Verwer: one linearly implicit step of many stiff systems at once.

Of order 2 with any matrix in place of the Jacobian, and L-stable where that matrix is near it: steps may be far longer
than the fastest mode once that has died out.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Float64

States = Float64[np.ndarray, "R m"]
GAMMA = 1 - 1 / math.sqrt(2)


def ros2(
    velocity: Callable[[States], States],
    y: States,
    slope: States,
    matrices: Float64[np.ndarray, "R m m"],
    h: Float64[np.ndarray, " R"],
) -> tuple[States, States]:
    """One step of ẏ = velocity(y) for R systems.

    Parameters
    ----------
    velocity : callable
        Maps states, shape (R, m), to their derivatives.
    y, slope : ndarray, shape (R, m)
        States and their derivatives.
    matrices : ndarray, shape (R, m, m)
        Near −∂velocity/∂y, with 1 + γh times each eigenvalue positive.
    h : ndarray, shape (R,)
        Steps.

    Returns
    -------
    new, error : ndarray, shape (R, m)
        The states after the step, and their difference to the embedded method of order 1.
    """
    step = h[:, None]
    inverse = np.linalg.inv(np.eye(y.shape[1]) + GAMMA * step[:, :, None] * matrices)
    first = (inverse @ slope[:, :, None])[:, :, 0]
    with np.errstate(over="ignore", invalid="ignore"):  # a step far too long is to be rejected
        ahead = velocity(y + step * first)
        second = (inverse @ (ahead - 2 * first)[:, :, None])[:, :, 0]
        return y + step * (1.5 * first + 0.5 * second), 0.5 * step * (first + second)
