"""Logs of a training: one protocol, and behind it tables, TensorBoard and Weights & Biases.

A *log* is told of a training while it runs. ``train(…, log=…)`` takes a name of ``LOGS``, several, or an object of
your own that derives from ``Log``.
"""

from iclab.training.logs.named import LOGS, logs_of
from iclab.training.logs.protocol import Log, scalars
from iclab.training.logs.table import TableLog
from iclab.training.logs.tensor_board import TensorBoardLog
from iclab.training.logs.weights_and_biases import WandbLog

__all__ = ["LOGS", "Log", "TableLog", "TensorBoardLog", "WandbLog", "logs_of", "scalars"]
