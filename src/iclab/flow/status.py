"""Where a flow goes, as one of a few sentences."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """Where a trajectory goes; the value says it in a sentence."""

    GLOBAL_MINIMUM = "converges to a global minimum of the population loss."
    LOCAL_MINIMUM = "converges to a local minimum of the population loss that is not a global minimum."
    SADDLE = "converges to a saddle of the population loss: the start lies on its stable manifold, up to rounding."
    CRITICAL_POINT = "converges to a critical point of the population loss that is not a global minimum."
    UNDECIDED = "is near u = 0 at t_end: the sign of u in the limit is not decided before."
    MOVING = "has not reached a limit at t_end."
