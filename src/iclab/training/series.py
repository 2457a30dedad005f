"""Weights kept along a training, for looking at how a model learns; resuming needs none of them.

They lie in ``series/<step>/`` beside the checkpoints for resuming, whose rotation leaves them alone.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass as plain
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import BeforeValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from iclab.models import Model, TransformerPredictor, load
from iclab.models.storage import ARCHITECTURE, MANIFEST, WEIGHTS, describe, write_folder

SERIES = "series"


@dataclass(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class Series:
    """At which steps weights are kept. Step 0, before any training, always is.

    Attributes
    ----------
    spacing : {"log", "linear"}
        How steps lie between 0 and the last: by equal ratios or equal differences, as far as whole numbers allow.
    count : int
        How many there are, the first and the last included; every step if the training has fewer.
    steps : tuple of int, optional
        The steps themselves, beside 0, in place of ``spacing`` and ``count``. A list in place of the mapping says
        the same.
    precision : {"full", "half"}
        As they are, or as float16, half the size of float32. Weights beyond its range (65504) are kept as they are.
    """

    spacing: Literal["log", "linear"] = "log"
    count: int = Field(default=50, ge=2, le=100_000)
    steps: tuple[Annotated[int, Field(ge=0)], ...] | None = None
    precision: Literal["full", "half"] = "full"

    def at(self, total: int) -> tuple[int, ...]:
        """The steps of a training of ``total`` steps, rising from 0."""
        if self.steps is not None:
            return tuple(sorted({0, *self.steps}))
        if self.spacing == "linear" or self.count > total:
            return tuple(np.unique(np.linspace(0, total, min(self.count, total + 1)).round().astype(int)).tolist())
        found, left = [0, 1], self.count - 2
        while left:
            # The ratio that reaches the last step with those that are left; small steps go up by one at least.
            found.append(max(found[-1] + 1, round(found[-1] * (total / found[-1]) ** (1 / left))))
            left -= 1
        return tuple(found) if self.count > 2 else (0, total)


def _listed(given: Any) -> Any:
    return {"steps": list(given)} if isinstance(given, Sequence) and not isinstance(given, str) else given


SeriesSpecification = Annotated[Series, BeforeValidator(_listed)]


@plain(frozen=True)
class Checkpoint:
    """Weights of one step of a run.

    Attributes
    ----------
    step : int
        Steps done; 0 before the first.
    path : Path
        Folder, which ``iclab.models.load`` reads.
    allow_code : bool
        Whether a module of your own that it names may be imported.
    """

    step: int
    path: Path
    allow_code: bool = False

    def __fspath__(self) -> str:
        return os.fspath(self.path)

    @cached_property
    def identity(self) -> str:
        """Digest of its files, as a key for what is computed from it."""
        return sha256((self.path / MANIFEST).read_bytes()).hexdigest()[:16]

    def predictor(self, device: str = "cpu") -> TransformerPredictor:
        """The model of this step.

        Raises
        ------
        InvalidInputError
            If its folder is damaged, or code would have to run that may not.
        """
        return load(self.path, device=device, allow_code=self.allow_code)


def keep_weights(model: Model, run: Path, step: int, series: Series) -> None:
    """Write ``series/<step>/`` of a run, whole or not at all."""
    weights = model.state_dict()
    if series.precision == "half":
        weights = {name: _halved(value) for name, value in weights.items()}
    write_folder(
        run / SERIES / str(step), tensors={WEIGHTS: weights}, documents={ARCHITECTURE: describe(model.architecture)}
    )


def kept_weights(run: Path, *, allow_code: bool = False) -> list[Checkpoint]:
    """What a run has kept so far, by step."""
    folders = (run / SERIES).iterdir() if (run / SERIES).is_dir() else ()
    named = [path for path in folders if path.name.isascii() and path.name.isdecimal() and (path / MANIFEST).exists()]
    return sorted((Checkpoint(int(path.name), path, allow_code) for path in named), key=lambda kept: kept.step)


def _halved(value: Tensor) -> Tensor:
    half = value.half() if value.is_floating_point() else value
    return half if bool(torch.isfinite(half).all()) else value
