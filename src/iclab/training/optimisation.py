"""How weights move: optimisers from torch, and the learning rate's schedule."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self, TypeAlias

import torch
from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass
from torch import nn

from iclab.models import Model
from iclab.training.muon import Muon

# Weight of the past in an average.
_Share: TypeAlias = Annotated[float, Field(ge=0, lt=1)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class Optimizer:
    """Which optimiser, with which constants.

    Attributes
    ----------
    kind : {"muon", "adamw", "adam", "sgd"}
        "muon" orthogonalises the updates of the blocks' matrices (scaled to AdamW's size) and uses AdamW for
        everything else. Of a module of your own the blocks are its attribute ``blocks``, if it has one.
    learning_rate : float
        Peak rate of Adam, AdamW or SGD.
    matrix_learning_rate : float, optional
        Peak rate of Muon; ``learning_rate`` when omitted.
    matrix_precision : {"auto", "float32", "bfloat16", "float64"}
        In which Muon orthogonalises (Newton-Schulz): by default what is fast on the machine that begins the run.
    betas, weight_decay, momentum : tuple of float, float, float
        Adam's averages; decoupled decay; momentum of Muon and SGD.
    clip : float, optional
        Largest norm of the whole gradient.
    """

    kind: Literal["muon", "adamw", "adam", "sgd"] = "muon"
    learning_rate: float = Field(default=2e-3, gt=0)
    matrix_learning_rate: float | None = Field(default=None, gt=0)
    betas: tuple[_Share, _Share] = (0.9, 0.95)
    weight_decay: float = Field(default=0.0, ge=0)
    momentum: float = Field(default=0.95, ge=0, lt=1)
    clip: float | None = Field(default=1.0, gt=0)
    matrix_precision: Literal["auto", "float32", "bfloat16", "float64"] = "auto"

    @model_validator(mode="after")
    def _uses_its_constants(self) -> Self:
        if self.weight_decay and self.kind in ("adam", "sgd"):
            raise ValueError(f"weight_decay must be 0 for {self.kind}: it is decoupled decay, which 'adamw' has")
        return self

    def build(self, model: Model) -> dict[str, torch.optim.Optimizer]:
        """The optimisers of a model's parameters, by name."""
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        # On a GPU steps are CUDA graphs, which need the counters of steps there too.
        kernels: Any = {"fused": parameters[0].dtype != torch.float64, "capturable": parameters[0].is_cuda}
        if self.kind == "sgd":
            return {"sgd": torch.optim.SGD(parameters, **self.options("sgd"))}
        if self.kind == "adam":
            return {"adam": torch.optim.Adam(parameters, **self.options("adam"), **kernels)}
        matrices = _matrices(model) if self.kind == "muon" else []
        chosen = {id(matrix) for matrix in matrices}
        built: dict[str, torch.optim.Optimizer] = {}
        rest = [parameter for parameter in parameters if id(parameter) not in chosen]
        if rest:
            built["adamw"] = torch.optim.AdamW(rest, **self.options("adamw"), **kernels)
        if matrices:
            built["muon"] = Muon(matrices, precision=getattr(torch, self.matrix_precision), **self.options("muon"))
        return built

    def options(self, name: str) -> dict[str, Any]:
        """The constants of one of the optimisers that ``build`` names, as torch calls them; ``lr`` is the peak."""
        if name == "muon":
            rate = self.matrix_learning_rate or self.learning_rate
            return {"lr": rate, "momentum": self.momentum, "weight_decay": self.weight_decay}
        if name == "sgd":
            return {"lr": self.learning_rate, "momentum": self.momentum}
        options = {"lr": self.learning_rate, "betas": self.betas}
        return options if name == "adam" else {**options, "weight_decay": self.weight_decay}


def _matrices(model: Model) -> list[nn.Parameter]:
    """The blocks' weight matrices; merged W^PV and W^KQ are stacks of heads and stay with AdamW."""
    return [parameter for parameter in model.blocks.parameters() if parameter.ndim == 2 and parameter.requires_grad]


@dataclass(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class Schedule:
    """The learning rate as a share of its peak: linear warm-up, constant, then decay to 0 at the last step.

    Attributes
    ----------
    warmup : int
        Steps until the peak.
    decay : float
        Share of the run over which the rate falls; 0 never.
    shape : {"linear", "cosine"}
        How it falls.
    """

    warmup: int = Field(default=0, ge=0)
    decay: float = Field(default=0.0, ge=0, le=1)
    shape: Literal["linear", "cosine"] = "linear"

    def at(self, step: int, steps: int) -> float:
        """The share of the peak used in step ``step`` (0-based) of ``steps``."""
        rise = min(1.0, (step + 1) / (self.warmup + 1))
        left = steps - step
        if self.decay == 0 or left >= self.decay * steps:
            return rise
        share = left / (self.decay * steps)
        if self.shape == "cosine":
            share = 0.5 - 0.5 * math.cos(math.pi * share)
        return rise * share
