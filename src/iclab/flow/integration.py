"""SciPy's adaptive integrators with end-point accuracy at every time.

Their dense output is good to about 1e-10 only, so every accepted step is kept as a checkpoint and a time in between
is reached by integrating on from the checkpoint before it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy.integrate import DOP853, Radau

State = Float64[np.ndarray, " n"]
Field = Callable[[float, State], State]


@dataclass(eq=False)
class Integration:
    """ẏ = velocity(t, y) followed step by step.

    Attributes
    ----------
    velocity : callable
        (t, y) ↦ ẏ, both y of shape (n,).
    times, states : list
        The checkpoints, from the start on.
    rtol, atol : float
        Tolerances of a step.
    stiff : bool
        Radau IIA (implicit) instead of DOP853.
    """

    velocity: Field
    times: list[float]
    states: list[State]
    rtol: float = 1e-13
    atol: float = 1e-16
    stiff: bool = False
    _step: float | None = None

    def advance(self, t_end: float, max_steps: int, stop: Callable[[float, State], bool]) -> bool:
        """Step on until ``t_end`` or ``stop``; False when ``max_steps`` or a failed step ends it first."""
        solver = self._solver(self.times[-1], self.states[-1], t_end, self._step)
        for _ in range(max_steps):
            if solver.status != "running":
                break
            if solver.step() is not None:  # the message of a failed step
                return False
            self._step = float(solver.h_abs)
            self.times.append(float(solver.t))
            self.states.append(np.array(solver.y))
            if stop(self.times[-1], self.states[-1]):
                return True
        return solver.status == "finished"

    def evaluate(self, t: Float64[np.ndarray, " m"]) -> Float64[np.ndarray, "m n"]:
        """States at times between the first and the last checkpoint."""
        index = np.searchsorted(self.times, t, side="right") - 1
        states = np.empty((len(t), len(self.states[0])))
        order = np.argsort(t, kind="stable")
        known, at, state = -1, 0.0, self.states[0]
        for position in order:
            if index[position] != known:
                known = index[position]
                at, state = self.times[known], self.states[known]
            if t[position] > at:
                solver = self._solver(at, state, float(t[position]), float(t[position]) - at)
                while solver.status == "running":
                    solver.step()
                at, state = float(t[position]), np.array(solver.y)
            states[position] = state
        return states

    def _solver(self, start: float, state: State, t_end: float, step: float | None) -> DOP853 | Radau:
        first = None if step is None or not np.isfinite(step) else min(step, t_end - start)
        first = first if first is None or first > 0 else None
        kind = Radau if self.stiff else DOP853
        return kind(self.velocity, start, state, t_end, rtol=self.rtol, atol=self.atol, first_step=first)
