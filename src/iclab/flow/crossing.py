"""Across u = 0, where the clock of the spectral method stands still: a short integration in time.

Only starts with ‖U‖_F > |u| (C < 0) get here, as u² ≥ C. The state is (u, D, s); the off-diagonal entries are
functions of s. u near 0 makes the system mild, whatever the decay rates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from iclab.flow.integration import Integration, State
from iclab.flow.reduced import Reduced
from iclab.flow.spectral import End

_MAX_STEPS = 2000


@dataclass(frozen=True, eq=False)
class CrossingSegment:
    """A stretch around u = 0, evaluated at any time up to its end.

    Attributes
    ----------
    problem : Reduced
        Its start.
    end : End
        ``CROSSING`` where the spectral method can take over again.
    """

    problem: Reduced
    end: End
    integration: Integration

    @property
    def last_computed(self) -> float:
        """Last time that was integrated to; after it the state stays (it is at a saddle)."""
        return self.integration.times[-1]

    def states(
        self, t: Float64[np.ndarray, " n"]
    ) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, "n d"], Float64[np.ndarray, " n"]]:
        """u, D and s at times t."""
        states = self.integration.evaluate(np.minimum(t, self.last_computed))
        return states[:, 0], states[:, 1:-1], states[:, -1]

    def scalars(self, t: Float64[np.ndarray, " n"]) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, " n"]]:
        """u and s at times t."""
        u, _, s = self.states(t)
        return u, s


def cross(problem: Reduced, t_end: float) -> CrossingSegment:
    """Integrate from a small (or zero) u until |u| has recovered, or ``t_end``, or the saddle.

    Parameters
    ----------
    problem : Reduced
        Start near u = 0.
    t_end : float
        Time to cover.

    Returns
    -------
    CrossingSegment
    """
    rates, drive = problem.rates, problem.drive

    def velocity(t: float, y: State) -> State:
        u, D = y[0], y[1:-1]
        lost = float(problem.off_diagonal.dissipation(y[-1:])[0])
        y_dot = np.empty_like(y)
        y_dot[0] = -u * (lost + rates @ D**2) + drive @ D
        y_dot[1:-1] = -(u**2) * rates * D + drive * u
        y_dot[-1] = u**2
        return y_dot

    size = max(problem.norm, abs(problem.u))
    growth = float(np.linalg.norm(drive))
    threshold = max(2 * abs(problem.u), 0.02 * min(size, problem.limit_u))

    def still(y: State) -> bool:
        # Both the unstable coordinate and the stable one have vanished.
        return max(abs(y[0]), abs(float(drive @ y[1:-1])) / growth) <= 1e-13 * size if growth else True

    def stop(t: float, y: State) -> bool:
        turned = y[0] * problem.u > 0 and velocity(t, y)[0] * y[0] > 0
        return abs(y[0]) >= threshold or (turned and abs(y[0]) > 1e-3 * threshold) or still(y)

    start = np.concatenate([[problem.u], problem.diagonal, [0.0]])
    integration = Integration(velocity, [0.0], [start], atol=1e-16 * max(size, 1e-300))
    if still(start):
        return CrossingSegment(problem, End.SADDLE, integration)
    integration.advance(t_end, _MAX_STEPS, stop)
    last = integration.states[-1]
    if still(last):
        return CrossingSegment(problem, End.SADDLE, integration)
    end = End.REACHED if integration.times[-1] >= t_end else End.CROSSING
    return CrossingSegment(problem, end, integration)
