"""A trajectory as a tidy table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64

from iclab.flow.trajectory import Trajectory
from iclab.foundations import check_integer

if TYPE_CHECKING:
    import pandas as pd

# More entries of U than this would bury the scalars.
_MAX_ENTRIES = 400


def sample_times(trajectory: Trajectory, n_times: int) -> Float64[np.ndarray, " n"]:
    """0 and times that grow as powers, up to where less than 1e-9 of the gain is left (or the horizon).

    Returns shape (n_times,); a choice of times for tables and figures, not in the paper.

    Parameters
    ----------
    trajectory : Trajectory
        Whose times they are.
    n_times : int
        How many.
    """
    check_integer(n_times, "n_times", minimum=2)
    span = min(trajectory.horizon, trajectory.time_to(1 - 1e-9))
    return np.concatenate([[0.0], span * np.geomspace(1e-4, 1.0, n_times - 1)])


def trajectory_table(trajectory: Trajectory, n_times: int = 200) -> pd.DataFrame:
    """Long table of a trajectory of (9).

    Parameters
    ----------
    trajectory : Trajectory
        What to tabulate.
    n_times : int
        Number of times.

    Returns
    -------
    DataFrame
        Columns t, quantity, row, col, value with the quantities u, loss, excess, balance (row = col = −1), the
        vectors a, b (col = −1) if they are not zero, and U if it has at most 400 entries.
    """
    import pandas as pd

    t = sample_times(trajectory, n_times)
    a, u, U, b = trajectory.blocks(t)
    scalars = {"u": u, "loss": trajectory.loss(t), "excess": trajectory.excess(t), "balance": trajectory.balance(t)}
    frames = [_frame(t, name, values) for name, values in scalars.items()]
    frames += [_frame(t, name, values) for name, values in (("a", a), ("b", b)) if values.any()]
    if U[0].size <= _MAX_ENTRIES:
        frames.append(_frame(t, "U", U))
    return pd.concat(frames, ignore_index=True)


def _frame(t: Float64[np.ndarray, " n"], quantity: str, values: Float64[np.ndarray, "n ..."]) -> pd.DataFrame:
    import pandas as pd

    entries = values[0].size
    indices = [index.ravel() for index in np.indices(values.shape[1:])]
    indices += [np.full(entries, -1)] * (2 - len(indices))
    return pd.DataFrame(
        {
            "t": np.repeat(t, entries),
            "quantity": quantity,
            "row": np.tile(indices[0], len(t)),
            "col": np.tile(indices[1], len(t)),
            "value": values.ravel(),
        }
    )
