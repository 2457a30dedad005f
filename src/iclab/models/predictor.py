"""A trained model as a predictor: prompts in, one prediction per position out."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from iclab.evaluation.contexts import one_by_one
from iclab.foundations import InvalidInputError, PromptLabels, check_choice, check_integer, user_path
from iclab.models.architecture import Architecture
from iclab.models.own import Model, OwnModel
from iclab.models.storage import CONFIG, MANIFEST, read_mapping, read_model, verify
from iclab.models.taps import begin
from iclab.models.transformer import Transformer
from iclab.predictors.registry import shipped_models
from iclab.prompts import Labels, Prompts

# Tokens per forward pass: few enough for a CPU's cache, many for a GPU.
_TOKENS_ON_CPU, _TOKENS_ON_GPU = 1 << 11, 1 << 14
# Queries that branch off a context at once.
_QUERIES = 512


@dataclass(frozen=True, eq=False)
class TransformerPredictor:
    """A transformer that answers prompts like any other predictor.

    Unlike the classical predictors it may predict something other than 0 at position 0: what the network says
    when it has seen no example.

    Parameters
    ----------
    model : Transformer or OwnModule
        Evaluated on its own device and in its own precision.
    name : str
        Shown in tables and figures.
    folder : Path, optional
        Where it was loaded from.
    """

    model: Model = field(repr=False)
    name: str = "transformer"
    folder: Path | None = field(default=None, repr=False)

    @property
    def architecture(self) -> Architecture | OwnModel:
        """What the model is."""
        return self.model.architecture

    @property
    def n_train(self) -> int | None:
        """Number of examples N that it was trained for, if known; it may read longer prompts."""
        return self.model.n_train

    def __call__(self, prompts: Prompts) -> PromptLabels:
        """Predictions at every position, float64: shape (B, P), of vectors (B, P, k), of classes their probabilities.

        They are computed in the model's precision. What else is in the batch changes a prompt's predictions by
        rounding only (in float32 about 1e-6 of their size), because products of other shapes are summed in another
        order; the same batch on the same machine gives the same bits.

        Raises
        ------
        InvalidInputError
            If the prompts have another dimension or other labels than the model, or more positions than it has learned.
        """
        answers = self._answers(prompts)
        if self.architecture.head == "classes":
            return answers.softmax(-1).numpy()
        return (answers[..., 0] if self.architecture.head == "mean_variance" else answers).numpy()

    def variances(self, prompts: Prompts) -> PromptLabels:
        """Variance of the label at every position as predicted by a head "mean_variance", in the shape of the labels.

        Raises
        ------
        InvalidInputError
            If the model has another head, or the prompts do not fit.
        """
        if self.architecture.head != "mean_variance":
            raise InvalidInputError(
                f"the model must have the head 'mean_variance' to predict variances; it has {self.architecture.head!r}."
            )
        return self._answers(prompts)[..., 1].exp().numpy()

    def answer(
        self,
        xs: Float64[np.ndarray, "B N d"],
        ys: Float64[np.ndarray, "B N"] | Int64[np.ndarray, "B N"],
        queries: Float64[np.ndarray, "Q d"],
    ) -> PromptLabels:
        """Predictions for the same queries from each of several contexts, shape (B, Q), float64; of classes (B, Q, k).

        A transformer of any mixers reads a context once and all queries are branches of it, so that one query more
        costs one token; a module of your own is shown a batch of prompts. The numbers are those of prompts with one
        query each, up to rounding.

        Parameters
        ----------
        xs, ys : ndarray, shapes (B, N, d) and (B, N)
            Examples of each context, N at least 1.
        queries : ndarray, shape (Q, d)
            What is asked.

        Raises
        ------
        InvalidInputError
            If the model reads no such contexts.
        """
        architecture, model = self.architecture, self.model
        n_classes = architecture.labels.n_classes
        if not isinstance(model, Transformer) or not model.reads_inputs:
            return one_by_one(self, xs, ys, queries, n_classes)
        real = Labels("real", 1) if n_classes is None else architecture.labels
        self._check(xs.shape[2], xs.shape[1] + 1, real)
        if n_classes is not None and ys.size and not 0 <= ys.min() <= ys.max() < n_classes:
            raise InvalidInputError(
                f"ys must be classes 0 … {n_classes - 1}, as there are {n_classes}; {ys.min()} … {ys.max()} were given."
            )
        parameter = next(self.model.parameters())
        size = min(_QUERIES, 1 << (len(queries) - 1).bit_length())  # few layouts: they are kept
        contexts = [
            torch.tensor(part, dtype=None if part.dtype == np.int64 else parameter.dtype, device=parameter.device)
            for part in (xs, ys)
        ]
        answers = np.empty((len(xs), len(queries), *architecture.labels.answer_shape))
        with self._evaluating():
            for start in range(0, len(queries), size):
                some = queries[start : start + size]
                block = torch.zeros(size, xs.shape[2], dtype=parameter.dtype, device=parameter.device)
                block[: len(some)] = torch.tensor(some, dtype=parameter.dtype, device=parameter.device)
                for each in range(len(xs)):
                    context, labels = (part[each : each + 1] for part in contexts)
                    said = model.answer(context, labels, block[None])[0, : len(some)]
                    said = said[..., 0] if architecture.head == "mean_variance" else said
                    said = said.double().softmax(-1) if architecture.head == "classes" else said
                    answers[each, start : start + size] = said.double().cpu().numpy()
        return answers

    @contextmanager
    def _evaluating(self) -> Generator[None]:
        """No gradients, and the model as it was afterwards."""
        training = self.model.training
        self.model.eval()
        try:
            # no_grad, not inference_mode: cached masks must stay usable in training.
            with torch.no_grad():
                yield
        finally:
            self.model.train(training)

    def _check(self, dimension: int, n_points: int, labels: Labels) -> None:
        architecture = self.architecture
        if dimension != architecture.dimension:
            raise InvalidInputError(
                f"prompts must have the model's dimension {architecture.dimension}; {dimension} was given."
            )
        if architecture.bounded and n_points > architecture.max_points:
            raise InvalidInputError(
                f"prompts must have at most the model's {architecture.max_points} positions; {n_points} were given."
            )
        if labels != architecture.labels:
            raise InvalidInputError(
                f"prompts must have the labels of the model, {_told(architecture.labels)}; {_told(labels)} were given."
            )

    def _answers(self, prompts: Prompts) -> Tensor:
        """What the model says, batch by batch, in float64 on the CPU."""
        architecture = self.architecture
        self._check(prompts.dimension, prompts.n_points, prompts.labels)
        parameter = next(self.model.parameters())
        # A recurrence of your own goes token by token: it wants many prompts at a time.
        few = parameter.device.type == "cpu" and isinstance(self.model, Transformer)
        tokens = _TOKENS_ON_CPU if few else _TOKENS_ON_GPU
        chunk = max(1, tokens // ((3 if prompts.shifted_queries else 2) * prompts.n_points))
        answers = torch.empty(len(prompts), prompts.n_points, *architecture.answer_shape, dtype=torch.float64)
        with self._evaluating():
            for start in range(0, len(prompts), chunk):
                batch = slice(start, min(start + chunk, len(prompts)))
                given = [prompts.xs[batch], prompts.ys[batch]]
                if prompts.shifted_queries:
                    given.append(prompts.queries[batch])
                # torch.tensor copies: arrays may be read-only. Classes stay whole numbers.
                tensors = (
                    torch.tensor(
                        part, dtype=None if part.dtype == np.int64 else parameter.dtype, device=parameter.device
                    )
                    for part in given
                )
                begin(batch)
                answers[batch] = self.model(*tensors).double().cpu()
        return answers

    def looped(self, loops: int) -> Self:
        """The same model, its weights shared, whose blocks are applied so many times.

        Raises
        ------
        InvalidInputError
            If ``loops`` is below 1, or it is no looped transformer.
        """
        loops = check_integer(loops, "loops", minimum=1)
        if not isinstance(self.model, Transformer) or self.model.architecture.tied:
            raise InvalidInputError(
                "the model must be a looped transformer to be read with more loops; it is tied or a module of your own."
            )
        model = copy.copy(self.model)
        model.loops = loops
        return replace(self, model=model)

    def to(self, device: str | torch.device) -> Self:
        """Move the model to a device, such as "cuda", or "auto" for a GPU if there is one; returns itself."""
        self.model.to(device_of(device) if isinstance(device, str) else device)
        return self


def _told(labels: Labels) -> str:
    """Labels in words."""
    return {
        "real": "real numbers",
        "vector": f"vectors of {labels.size} numbers",
        "class": f"{labels.size} classes",
    }[labels.kind]


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
            f"device must exist on this machine; {name!r} was given and {count} GPUs were found: take 'auto' or 'cpu'."
        )
    return torch.device("cuda", torch.cuda.current_device()) if name == "cuda" else device


def load(path_or_name: str | Path, *, device: str = "cpu", allow_code: bool = False) -> TransformerPredictor:
    """Load a trained model as a predictor.

    Parameters
    ----------
    path_or_name : str or Path
        A run's folder (its last good checkpoint), a checkpoint, a saved model's folder, or the name of a
        model that ships with the package.
    device : str
        Where it computes: "cpu", "cuda", …; "auto" takes a GPU if there is one.
    allow_code : bool
        Whether a model of your own, whose folder names its class, may be imported, which runs it.

    Returns
    -------
    TransformerPredictor

    Raises
    ------
    InvalidInputError
        If nothing whole is found there, or there is no such device.

    Warns
    -----
    UserWarning
        If a run's latest checkpoint is damaged, so that an earlier one is taken, or its training is not finished.

    Examples
    --------
    >>> from iclab.models import load
    >>> from iclab.prompts import Gaussian, Linear, PromptDistribution
    >>> model = load("linear-columns-d20-identity")
    >>> model(PromptDistribution(Gaussian.isotropic(20), Linear()).sample(2, 41, seed=0)).shape
    (2, 41)
    """
    if not isinstance(path_or_name, (str, Path)):
        raise InvalidInputError(f"a model must be given as a folder or a name; {path_or_name!r} was given.")
    path = user_path(path_or_name)
    if not path.exists():
        known = shipped_models()
        if not known or len(path.parts) > 1:
            raise InvalidInputError(f"{path} must be the folder of a run or model; no such folder was found.")
        path = known[check_choice(str(path_or_name), "the model's name (no such folder)", sorted(known))]
    _refuse_other_formats(path)
    name = path.name
    if (path / "checkpoints").is_dir():
        run = path
        path, remark = last_whole(run)
        if path is None:
            raise InvalidInputError(f"{run} must hold a whole checkpoint; {remark or 'it holds none'}: train it first.")
        steps = read_mapping(run / CONFIG).get("steps") if (run / CONFIG).is_file() else None
        if remark is None and isinstance(steps, int) and int(path.name) < steps:
            remark = f"step {path.name} of {steps} is used, the training is not finished"
        if remark is not None:
            warnings.warn(f"{run}: {remark}.", stacklevel=2)
    return TransformerPredictor(read_model(path, allow_code=allow_code), name, path).to(device)


def _refuse_other_formats(path: Path) -> None:
    """Say which command imports what is no model of ours."""
    if not path.is_dir():
        raise InvalidInputError(f"{path} must be the folder of a run or model; it is a file.")
    if (path / MANIFEST).exists() or (path / "checkpoints").exists():
        return
    if (path / "state.pt").exists():
        kind, origin = "a run of Garg et al.'s code", "garg"
    elif (path / "config.json").exists():
        kind, origin = "a Hugging Face model", "hugging-face"
    else:
        return
    raise InvalidInputError(
        f"{path} must be a run or model of this package; it is {kind}: import it with "
        f"`iclab exchange {path} NEW --from {origin}`."
    )


def last_whole(run: Path) -> tuple[Path | None, str | None]:
    """The latest whole checkpoint of a run, and in words which ones were passed over for it; None for nothing."""
    faults: list[str] = []
    found = None
    for folder in checkpoints(run):
        fault = verify(folder)
        if fault is None:
            found = folder
            break
        faults.append(f"the checkpoint of step {folder.name} is damaged ({fault})")
    if not faults:
        return found, None
    return found, ", ".join([*faults, "no other is left" if found is None else f"that of step {found.name} is used"])


def checkpoints(run: Path) -> Iterator[Path]:
    """The checkpoint folders of a run, latest first, whole or not; none before the first."""
    folder = run / "checkpoints"
    there = folder.iterdir() if folder.is_dir() else ()
    # Only names that a step has: "²" is a digit too, and "007" no number of ours.
    steps = [int(path.name) for path in there if path.name.isascii() and path.name.isdecimal()]
    return (folder / str(step) for step in sorted(steps, reverse=True) if (folder / str(step)).exists())
