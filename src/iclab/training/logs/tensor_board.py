"""A training's metrics for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from iclab.training.logs.protocol import Log, require, scalars
from iclab.training.run import Run

TENSOR_BOARD = "tensorboard"


class TensorBoardLog(Log):
    """Writes every number of the metrics into ``tensorboard/`` of the run's folder: ``tensorboard --logdir runs``.

    A run that goes on continues the same log: what was told beyond the checkpoint it goes on from is told again, and
    TensorBoard shows it once. Names are those of the metrics, held-out errors by position ``error/05`` and the like.
    """

    _writer: Any = None

    def check(self) -> None:
        """Raise an ``InvalidInputError`` with the command that installs it if TensorBoard is not there."""
        require(TENSOR_BOARD, TENSOR_BOARD)

    def begin(self, run: Run, lines: Sequence[Mapping[str, Any]]) -> None:
        """Open the log; earlier lines are written if it is new."""
        folder = run.directory / TENSOR_BOARD
        new = not folder.is_dir() or not any(folder.iterdir())
        last = max((line["step"] for line in lines), default=0)
        writer = require("torch.utils.tensorboard", TENSOR_BOARD).SummaryWriter
        # Of what was told before, TensorBoard forgets what comes at later steps.
        self._writer = writer(str(folder), purge_step=None if new else last + 1)
        for line in lines if new else ():
            self.line(line)

    def line(self, line: Mapping[str, Any]) -> None:
        """Write its numbers; they are in the file when this returns."""
        for name, value in scalars(line).items():
            self._writer.add_scalar(name, value, line["step"])
        self._writer.flush()

    def end(self, *, finished: bool) -> None:
        """Close the log."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
