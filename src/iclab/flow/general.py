"""The flow on all parameters (a, u, U, b): SciPy's adaptive integrators on θ̇ = −∇L(θ), (9)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from iclab.flow.integration import Integration, State
from iclab.flow.paths import BlockArrays, Times
from iclab.flow.status import Status
from iclab.foundations import InvalidInputError
from iclab.theory import LSAParameters, PopulationLoss, minimum_loss

# A point counts as critical when the gradient is this small against the one at the start or its natural size.
_CRITICAL = 1e-11
# (method, relative tolerance, steps): the implicit one takes over where the explicit one needs too many steps.
_STAGES = ((False, 1e-13, 6_000), (True, 1e-10, 3_000))
# Largest (d + 1)² for which the Hessian certifies what kind of point was reached.
_HESSIAN_SIZE = 450


class General:
    """Every start and every law of covariances: DOP853, then Radau where the problem is too stiff for it."""

    amplification = 1.0

    def __init__(self, loss: PopulationLoss, initial: LSAParameters, t_end: float) -> None:
        self._loss = loss
        self._size = loss.dimension + 1
        self._minimum = minimum_loss(*loss.problem)
        self._gain = loss(LSAParameters(0 * initial.w_pv, 0 * initial.w_kq)) - self._minimum
        start = initial.vector
        self._integration = Integration(self._velocity, [0.0], [start], atol=1e-16 * float(np.abs(start).max()))
        self._critical = _CRITICAL * max(float(np.linalg.norm(self._velocity(0.0, start))), self._gain)
        self.method = "integrator (DOP853)"
        self.limit: BlockArrays | None = None
        self.status = self._run(t_end)
        self.horizon = self._integration.times[-1]

    def u(self, t: Times) -> Times:
        """u at times t."""
        return self._states(t)[:, -1]

    def excess(self, t: Times) -> Times:
        """L − min L at times t."""
        return np.asarray(self._loss.values(self._states(t))) - self._minimum

    def blocks(self, t: Times) -> BlockArrays:
        """a, u, U, b at times t."""
        return self._split(self._states(t))

    def _split(self, states: Float64[np.ndarray, "n m"]) -> BlockArrays:
        reduced = np.swapaxes(states.reshape(-1, self._size, self._size), -1, -2)
        return reduced[:, :-1, -1], reduced[:, -1, -1], reduced[:, :-1, :-1], reduced[:, -1, :-1]

    def _states(self, t: Times) -> Float64[np.ndarray, "n m"]:
        return self._integration.evaluate(np.minimum(t, self._integration.times[-1]))

    def _velocity(self, t: float, y: State) -> State:
        return -self._loss.gradients(y)

    def _is_critical(self, t: float, y: State) -> bool:
        return float(np.linalg.norm(self._velocity(t, y))) <= self._critical

    def _run(self, t_end: float) -> Status:
        integration = self._integration
        if not self._is_critical(0.0, integration.states[0]):
            for stiff, tolerance, steps in _STAGES:
                integration.stiff, integration.rtol = stiff, tolerance
                if stiff:
                    self.method = "integrator (DOP853, then Radau as the problem is stiff)"
                if integration.advance(t_end, steps, self._is_critical):
                    break
            else:
                raise InvalidInputError(
                    f"t_end must be within reach of the integrators; {t_end:g} was given, but their steps were used up "
                    f"at t = {integration.times[-1]:.6g}: choose a t_end below that."
                )
        t, y = integration.times[-1], integration.states[-1]
        if not self._is_critical(t, y):
            return Status.MOVING
        self.limit = self._split(y[None])
        return self._kind(y)

    def _kind(self, y: State) -> Status:
        if float(self._loss.values(y)) - self._minimum <= 1e-9 * self._gain:
            return Status.GLOBAL_MINIMUM
        if self._size**2 > _HESSIAN_SIZE:
            return Status.CRITICAL_POINT
        values = np.linalg.eigvalsh(self._loss.hessian(LSAParameters.from_vector(y)))
        return Status.SADDLE if values[0] < -1e-6 * values[-1] else Status.LOCAL_MINIMUM
