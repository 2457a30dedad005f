"""A trained model as a predictor: prompts in, one prediction per position out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
import torch
import yaml
from torch import Tensor

from incontext.foundations import InvalidInputError, PromptLabels, check_choice
from incontext.models.architecture import Architecture
from incontext.models.storage import read_model, verify
from incontext.models.transformer import Transformer
from incontext.predictors.registry import shipped_models
from incontext.prompts import Prompts

# Tokens per forward pass: few enough for a CPU's cache, many for a GPU. Being fixed, they make results independent of
# the batch given.
_TOKENS_ON_CPU, _TOKENS_ON_GPU = 1 << 11, 1 << 14


@dataclass(frozen=True, eq=False)
class TransformerPredictor:
    """A transformer that answers prompts like any other predictor.

    Unlike the classical predictors it may predict something other than 0 at position 0: what the network says
    when it has seen no example.

    Parameters
    ----------
    model : Transformer
        Evaluated on its own device and in its own precision.
    name : str
        Shown in tables and figures.
    n_train : int, optional
        Number of examples N that it was trained for, if known; it may read longer prompts.
    """

    model: Transformer = field(repr=False)
    name: str = "transformer"
    n_train: int | None = None

    @property
    def architecture(self) -> Architecture:
        """What the model is."""
        return self.model.architecture

    def __call__(self, prompts: Prompts) -> PromptLabels:
        """Predictions at every position, shape (B, P), float64.

        Raises
        ------
        InvalidInputError
            If the prompts have another dimension than the model, or more positions than it has learned.
        """
        architecture = self.architecture
        if prompts.dimension != architecture.dimension:
            raise InvalidInputError(
                f"prompts must have the model's dimension {architecture.dimension}; {prompts.dimension} was given."
            )
        if architecture.bounded and prompts.n_points > architecture.max_points:
            raise InvalidInputError(
                f"prompts must have at most the model's {architecture.max_points} positions; "
                f"{prompts.n_points} were given."
            )
        parameter = next(self.model.parameters())
        tokens = _TOKENS_ON_CPU if parameter.device.type == "cpu" else _TOKENS_ON_GPU
        chunk = max(1, tokens // ((3 if prompts.shifted_queries else 2) * prompts.n_points))
        predictions = np.empty(prompts.ys.shape)
        training = self.model.training
        self.model.eval()
        # no_grad, not inference_mode: cached masks must stay usable in training.
        with torch.no_grad():
            for start in range(0, len(prompts), chunk):
                batch = slice(start, start + chunk)
                given = [prompts.xs[batch], prompts.ys[batch]]
                if prompts.shifted_queries:
                    given.append(prompts.queries[batch])
                # torch.tensor copies: arrays may be read-only.
                out: Tensor = self.model(
                    *(torch.tensor(part, dtype=parameter.dtype, device=parameter.device) for part in given)
                )
                predictions[batch] = out.double().cpu().numpy()
        self.model.train(training)
        return predictions

    def to(self, device: str | torch.device) -> Self:
        """Move the model to a device, such as "cuda", or "auto" for a GPU if there is one; returns itself."""
        self.model.to(device_of(device) if isinstance(device, str) else device)
        return self


def device_of(name: str) -> torch.device:
    """The device of a name; "auto" is the current GPU if there is one, and the CPU otherwise.

    Raises
    ------
    InvalidInputError
        If there is no such device.
    """
    count = torch.cuda.device_count()
    if name == "auto":
        name = "cuda" if count else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InvalidInputError(f"device must be 'auto', 'cpu' or 'cuda'; {name!r} was given.") from error
    if device.type == "cuda" and (device.index or 0) >= count:
        raise InvalidInputError(
            f"device must be at hand; {name!r} was given and {count} GPUs were found: take 'auto' or 'cpu'."
        )
    return torch.device("cuda", torch.cuda.current_device()) if name == "cuda" else device


def load(path_or_name: str | Path, *, device: str = "cpu") -> TransformerPredictor:
    """Load a trained model as a predictor.

    Parameters
    ----------
    path_or_name : str or Path
        A run's folder (its last good checkpoint), a checkpoint, a saved model's folder, or the name of a
        model that ships with the package.
    device : str
        Where it computes: "cpu", "cuda", …; "auto" takes a GPU if there is one.

    Returns
    -------
    TransformerPredictor

    Raises
    ------
    InvalidInputError
        If nothing whole is found there, or there is no such device.
    """
    path = Path(path_or_name)
    if not path.exists():
        known = shipped_models()
        if not known or len(path.parts) > 1:
            raise InvalidInputError(f"{path} must be the folder of a run or model; no such folder was found.")
        path = known[check_choice(str(path_or_name), "the model's name (no such folder)", sorted(known))]
    name = path.name
    if (path / "checkpoints").is_dir():
        path = next((folder for folder in checkpoints(path) if verify(folder) is None), path)
        if path.parent.name != "checkpoints":
            raise InvalidInputError(f"{path} must hold a whole checkpoint; train it first.")
    return TransformerPredictor(read_model(path), name, _trained_length(path)).to(device)


def _trained_length(folder: Path) -> int | None:
    """N of the configuration beside a saved model, or of the run that a checkpoint belongs to."""
    for place in (folder, folder.parent.parent):
        if (place / "config.yaml").is_file():
            found = yaml.safe_load((place / "config.yaml").read_text(encoding="utf-8"))
            n_train = found.get("n_train") if isinstance(found, dict) else None
            return n_train if isinstance(n_train, int) else None
    return None


def checkpoints(run: Path) -> Iterator[Path]:
    """The checkpoint folders of a run, latest first, whole or not."""
    folder = run / "checkpoints"
    steps = sorted((int(path.name) for path in folder.iterdir() if path.name.isdigit()), reverse=True)
    return (folder / str(step) for step in steps)
