"""Logs by name, as ``train(…, log=…)`` and ``iclab train --log`` know them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

from iclab.foundations import InvalidInputError, check_choice
from iclab.training.logs.protocol import Log
from iclab.training.logs.table import TableLog
from iclab.training.logs.tensor_board import TensorBoardLog
from iclab.training.logs.weights_and_biases import WandbLog

LOGS: dict[str, Callable[[], Log]] = {
    "tensorboard": TensorBoardLog,
    "wandb": WandbLog,
    "wandb-online": partial(WandbLog, "online"),
    "csv": TableLog,
}
"""All logs by name; "wandb" stays on this machine, "wandb-online" sends what it is told."""

Given: TypeAlias = str | Log | Sequence[str | Log]


def logs_of(given: Given | None) -> list[Log]:
    """The logs that are named, ready to be told of a training.

    Parameters
    ----------
    given : str, Log, or sequence of them, optional
        Names of ``LOGS``, several in one word separated by commas, or logs of your own.

    Raises
    ------
    InvalidInputError
        If there is no such log, or its package is not installed.
    """
    if given is None:
        return []
    entries = [given] if isinstance(given, str | Log) else given
    found: list[Log] = []
    for entry in entries:
        if isinstance(entry, str):
            found += [LOGS[check_choice(name.strip(), "log", LOGS)]() for name in entry.split(",")]
        elif isinstance(entry, Log):
            found.append(entry)
        else:
            raise InvalidInputError(
                f"log must be a name ({', '.join(LOGS)}), a Log, or a sequence of them; {entry!r} was given."
            )
    for log in found:
        log.check()
    return found
