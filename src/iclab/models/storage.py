"""Models on disk: a folder of safetensors and JSON with a manifest of checksums; no pickle.

A folder is written under a temporary name, flushed, and renamed, and its manifest lists the SHA-256 of every
file. So it is either whole or recognisably not: ``verify`` says what is wrong with it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from pydantic import TypeAdapter, ValidationError
from safetensors.torch import load_file, save
from torch import Tensor

from iclab.foundations import InvalidInputError, read_json
from iclab.models.architecture import Architecture
from iclab.models.transformer import Transformer

MANIFEST = "manifest.json"
WEIGHTS = "model.safetensors"
ARCHITECTURE = "architecture.json"
CARD = "card.json"
CONFIG = "config.yaml"
_ADAPTER = TypeAdapter(Architecture)


def write_folder(
    folder: Path,
    *,
    tensors: Mapping[str, Mapping[str, Tensor]],
    documents: Mapping[str, object],
    texts: Mapping[str, str] | None = None,
) -> None:
    """Write safetensors, JSON and text files into a new ``folder`` that appears whole or not at all.

    Parameters
    ----------
    folder : Path
        Replaced if it exists.
    tensors, documents, texts : mapping
        File names to named tensors, to JSON-serialisable values, and to text.

    Raises
    ------
    OSError
        If the disk is full or the place not writable; then nothing is left behind.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        for name, values in tensors.items():
            # safetensors refuses tensors that share memory or are not contiguous.
            ready = {key: value.detach().cpu().contiguous().clone() for key, value in values.items()}
            (temporary / name).write_bytes(save(ready))
        written = {name: json.dumps(document, indent=2, allow_nan=False) + "\n" for name, document in documents.items()}
        for name, text in {**written, **(texts or {})}.items():
            (temporary / name).write_text(text, encoding="utf-8", newline="\n")
        sums = {path.name: _checksum(path) for path in sorted(temporary.iterdir())}
        (temporary / MANIFEST).write_text(json.dumps({"sha256": sums}, indent=2) + "\n", encoding="utf-8")
        for path in [*temporary.iterdir(), temporary]:
            _flush(path)
        temporary.chmod(0o755)  # mkdtemp gives 0700; a model should be as readable as any folder
        if folder.exists():
            shutil.rmtree(folder)
        temporary.rename(folder)
        _flush(folder.parent)
    except OSError as error:
        # A failed write does not know its file: say which folder is missing now.
        raise OSError(error.errno, error.strerror, str(folder)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def verify(folder: Path) -> str | None:
    """What is wrong with a folder that ``write_folder`` wrote, in words; None if it is whole."""
    try:
        sums: dict[str, str] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["sha256"]
        for name, expected in sums.items():
            if _checksum(folder / name) != expected:
                return f"{name} does not match its checksum"
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is missing"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"it cannot be read ({error})"
    return None


def save_model(
    model: Transformer,
    folder: Path,
    *,
    card: Mapping[str, Any] | None = None,
    texts: Mapping[str, str] | None = None,
    half: bool = False,
) -> None:
    """Write a model's weights and architecture, and its N where it is known.

    Parameters
    ----------
    model : Transformer
        What to save.
    folder : Path
        Where; an earlier saved model there is replaced.
    card : mapping, optional
        Any JSON-serialisable facts, for ``card.json``, beside ``n_train``.
    texts : mapping, optional
        Further files, by name.
    half : bool
        Whether weights are stored in half precision (float16), for half the size; they are read back as float32.

    Raises
    ------
    InvalidInputError
        If ``folder`` holds anything else than an earlier saved model, or a weight is too large for half precision.
    """
    folder = Path(folder)
    if folder.exists() and not (folder / MANIFEST).exists() and any(folder.iterdir()):
        raise InvalidInputError(f"{folder} must be new, empty or hold a saved model; it holds other files.")
    documents: dict[str, object] = {ARCHITECTURE: describe(model.architecture)}
    known = {} if model.n_train is None else {"n_train": model.n_train}
    if card is not None or known:
        documents[CARD] = {**known, **(card or {})}
    weights = {name: value.half() if half else value for name, value in model.state_dict().items()}
    if half and not all(bool(value.isfinite().all()) for value in weights.values()):
        raise InvalidInputError("weights must be below 65504 to be stored in half precision; store them whole instead.")
    write_folder(folder, tensors={WEIGHTS: weights}, documents=documents, texts=texts)


def read_model(folder: Path) -> Transformer:
    """Read a model from a folder written by ``save_model`` or from a training checkpoint, on the CPU.

    Raises
    ------
    InvalidInputError
        If a file is missing, damaged, or does not fit the architecture.
    """
    fault = verify(folder)
    if fault is not None:
        raise InvalidInputError(f"{folder} must hold a whole model; {fault}.")
    try:
        architecture = _ADAPTER.validate_python(read_json(folder / ARCHITECTURE))
        weights = load_file(folder / WEIGHTS)
        # The file says the precision: a float64 model comes back as one. Half is how it was stored, not what it is.
        dtype = next(iter(weights.values())).dtype
        dtype = torch.float32 if dtype == torch.float16 else dtype
        model = Transformer(architecture, seed=None).to(dtype)
        model.load_state_dict(weights)
    except (ValidationError, RuntimeError, OSError, StopIteration) as error:
        raise InvalidInputError(f"{folder} must hold a model of this version; {error}.") from error
    model.n_train = _trained_length(folder)
    return model


def _trained_length(folder: Path) -> int | None:
    """N of the configuration or card beside a saved model, or of the run that a checkpoint belongs to."""
    for place in (folder / CONFIG, folder / CARD, folder.parent.parent / CONFIG):
        if place.is_file():
            n_train = read_mapping(place).get("n_train")
            if isinstance(n_train, int):
                return n_train
    return None


def read_mapping(path: Path) -> dict[str, Any]:
    """What a YAML or JSON file maps its keys to; nothing if it is of another kind.

    Raises
    ------
    InvalidInputError
        If it cannot be read.
    """
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidInputError(f"{path} must be readable; {' '.join(str(error).split())}.") from error
    return found if isinstance(found, dict) else {}


def describe(architecture: Architecture) -> dict[str, Any]:
    """The architecture as JSON-serialisable values."""
    return _ADAPTER.dump_python(architecture, mode="json")


def _checksum(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
