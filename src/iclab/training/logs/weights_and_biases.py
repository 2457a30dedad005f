"""A training's metrics for Weights & Biases, on this machine unless asked otherwise."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from iclab.foundations import check_choice, write_text
from iclab.training.logs.protocol import Log, require, scalars
from iclab.training.run import Run

WANDB = "wandb"


class WandbLog(Log):
    """Writes every number of the metrics, and the configuration, as a run of Weights & Biases.

    Offline, which is the default, everything stays in ``wandb/`` of the run's folder and nothing leaves the machine;
    ``wandb sync`` sends it later. A run that goes on keeps its identity there (``wandb/identity``), and ``wandb sync
    --append`` joins its parts.

    Parameters
    ----------
    mode : {"offline", "online"}
        Whether to send anything.
    project : str
        Of Weights & Biases.
    name : str, optional
        Of the run; that of its folder when omitted.
    """

    def __init__(
        self, mode: Literal["offline", "online"] = "offline", *, project: str = "iclab", name: str | None = None
    ) -> None:
        self._mode: Any = check_choice(mode, "mode", ("offline", "online"))
        self._project, self._name = project, name
        self._run: Any = None

    def check(self) -> None:
        """Raise an ``InvalidInputError`` with the command that installs it if wandb is not there."""
        if self._mode == "offline":
            os.environ["WANDB_ERROR_REPORTING"] = "false"  # read where wandb is imported
        require(WANDB, WANDB)

    def begin(self, run: Run, lines: Sequence[Mapping[str, Any]]) -> None:
        """Open the log; earlier lines are written if it is new."""
        wandb = require(WANDB, WANDB)
        identity = run.directory / WANDB / "identity"
        new = not identity.exists()
        if new:
            write_text(identity, secrets.token_hex(4) + "\n")
        offline = {"x_disable_meta": True, "x_disable_stats": True} if self._mode == "offline" else {}
        self._run = wandb.init(
            project=self._project,
            name=self._name or run.directory.resolve().name,
            dir=str(run.directory),
            id=identity.read_text(encoding="utf-8").strip(),
            resume=None if self._mode == "offline" else "allow",
            mode=self._mode,
            config=run.config.as_dict(),
            settings=wandb.Settings(
                console="off", silent=True, disable_git=True, disable_code=True, save_code=False, **offline
            ),
        )
        # Lines come with a step of their own: those of losses and of errors share one, and it may go back.
        self._run.define_metric("*", step_metric="step")
        for line in lines if new else ():
            self.line(line)

    def line(self, line: Mapping[str, Any]) -> None:
        """Write its numbers."""
        self._run.log({"step": line["step"], **scalars(line)})

    def end(self, *, finished: bool) -> None:
        """Close the log."""
        if self._run is not None:
            self._run.finish(exit_code=0 if finished else 1)
            self._run = None
