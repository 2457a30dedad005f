"""Models on disk: a folder of safetensors and JSON with a manifest of checksums; no pickle.

A folder is written under a temporary name, flushed, and renamed, and its manifest lists the SHA-256 of every
file. So it is either whole or recognisably not: ``verify`` says what is wrong with it. Its page is prose, which whoever
shares the model may rewrite or remove.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from iclab.foundations import InvalidInputError, check_integer, user_path
from iclab.foundations.documents import parse_json, read_document, read_yaml
from iclab.foundations.folders import whole_folder
from iclab.models.architecture import Architecture
from iclab.models.own import Model, OwnModel, make
from iclab.models.shapes import without_numbers
from iclab.prompts.reading import plain, validated

MANIFEST = "manifest.json"
WEIGHTS = "model.safetensors"
ARCHITECTURE = "architecture.json"
CARD = "card.json"
CONFIG = "config.yaml"
PAGE = "README.md"
# Types of weights, most bytes of a header, and most passes through one block.
_REAL = ("F16", "BF16", "F32", "F64")
_HEADER, _LOOPS = 1 << 23, 10_000


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
    with whole_folder(folder) as temporary:
        for name, values in tensors.items():
            # safetensors refuses tensors that share memory or are not contiguous.
            # Counters and masks of modules of your own are kept as numbers.
            ready = {
                key: (value if value.is_floating_point() else value.double()).detach().cpu().contiguous().clone()
                for key, value in values.items()
            }
            (temporary / name).write_bytes(save(ready))
        written = {name: json.dumps(document, indent=2, allow_nan=False) + "\n" for name, document in documents.items()}
        for name, text in {**written, **(texts or {})}.items():
            (temporary / name).write_text(text, encoding="utf-8", newline="\n")
        sums = {path.name: _checksum(path) for path in sorted(temporary.iterdir())}
        _write_sums(temporary, sums)


def replace_text(folder: Path, name: str, text: str) -> None:
    """Write a text into a folder that ``write_folder`` wrote, and its checksum where the manifest lists the file."""
    sums = listed_files(folder)
    (folder / name).unlink(missing_ok=True)  # a copy of a file that may not be written may not be written either
    (folder / name).write_text(text, encoding="utf-8", newline="\n")
    if name in sums:
        (folder / MANIFEST).unlink()
        _write_sums(folder, {**sums, name: _checksum(folder / name)})


def verify(folder: Path) -> str | None:
    """What is wrong with a folder that ``write_folder`` wrote, in words; None if it is whole."""
    try:
        for name, expected in listed_files(folder).items():
            if name == PAGE and not os.path.lexists(folder / name):
                continue
            path = plain_file(folder, name)
            if name != PAGE and _checksum(path) != expected:
                return f"{name} does not match its checksum"
    except InvalidInputError as error:
        return str(error).rstrip(".")
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    return None


def listed_files(folder: Path) -> dict[str, str]:
    """The files of a folder and their checksums, as its manifest lists them."""
    content = read_document(plain_file(folder, MANIFEST), MANIFEST)
    sums = content.get("sha256") if isinstance(content, dict) else None
    if not isinstance(sums, dict) or not all(isinstance(value, str) for value in sums.values()):
        raise InvalidInputError(f"{MANIFEST} must list the checksums of files; it does not.")
    return sums


def plain_file(folder: Path, name: str) -> Path:
    """The path of a regular file of a folder, and of nothing else: no link, device, pipe or file elsewhere.

    Raises
    ------
    InvalidInputError
        If it is something else, or missing.
    """
    if not name or Path(name).name != name or name in (".", ".."):
        raise InvalidInputError(f"files must lie in the folder itself; {name!r} was listed.")
    path = folder / name
    if not os.path.lexists(path):
        raise InvalidInputError(f"{name} is missing")
    if path.is_symlink():
        # The cache of the Hugging Face hub keeps a snapshot's files beside it.
        target = path.resolve()
        blobs = folder.resolve().parent.parent / "blobs"
        if folder.resolve().parent.name != "snapshots" or target.parent != blobs:
            raise InvalidInputError(f"{name} must be a file of the folder; it is a link out of it.")
    if not path.is_file():
        raise InvalidInputError(f"{name} must be a regular file; it is none.")
    return path


def save_model(
    model: Model,
    folder: Path,
    *,
    card: Mapping[str, Any] | None = None,
    texts: Mapping[str, str] | None = None,
    half: bool = False,
) -> None:
    """Write a model's weights and architecture, and its N where it is known.

    Parameters
    ----------
    model : Transformer or OwnModule
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
    folder = user_path(folder)
    if folder.exists() and not (folder / MANIFEST).exists() and any(folder.iterdir()):
        raise InvalidInputError(f"{folder} must be new, empty or hold a saved model; it holds other files.")
    documents: dict[str, object] = {ARCHITECTURE: describe(model.architecture)}
    known = {} if model.n_train is None else {"n_train": model.n_train}
    if card is not None or known:
        documents[CARD] = {**known, **(card or {})}
    half_of = {name for name, value in model.state_dict().items() if half and value.is_floating_point()}
    weights = {name: value.half() if name in half_of else value for name, value in model.state_dict().items()}
    if half and not all(bool(value.isfinite().all()) for value in weights.values()):
        raise InvalidInputError("weights must be below 65504 to be stored in half precision; store them whole instead.")
    write_folder(folder, tensors={WEIGHTS: weights}, documents=documents, texts=texts)


def read_model(folder: Path, *, allow_code: bool = False) -> Model:
    """Read a model from a folder written by ``save_model`` or from a training checkpoint, on the CPU.

    Parameters
    ----------
    folder : Path
        Where.
    allow_code : bool
        Whether the module of your own that the folder may name is imported, which runs it.

    Raises
    ------
    InvalidInputError
        If a file is missing, damaged, or does not fit the architecture, or code would have to run that may not.
    """
    folder = user_path(folder)
    fault = verify(folder)
    if fault is not None:
        raise InvalidInputError(f"{folder} must hold a whole model; {fault}.")
    described = read_document(plain_file(folder, ARCHITECTURE), str(folder / ARCHITECTURE))
    if not isinstance(described, dict):
        raise InvalidInputError(f"{folder / ARCHITECTURE} must map keys to values; it does not.")
    try:
        kind = OwnModel if described.get("kind") == "own" else Architecture
        architecture = validated(kind, described, ARCHITECTURE, allow_code=allow_code)
    except InvalidInputError as error:
        raise InvalidInputError(f"{folder} must hold a model of this version; {error}") from error
    model = built(architecture, read_weights(plain_file(folder, WEIGHTS), architecture), str(folder))
    model.n_train = _trained_length(folder)
    return model


def read_weights(path: Path, architecture: Architecture | OwnModel) -> dict[str, Tensor]:
    """The weights of an architecture from a safetensors file, whose header is checked before anything is made.

    Raises
    ------
    InvalidInputError
        If names, shapes or types are not those of the architecture.
    """
    header = tensor_shapes(path)
    check_shapes({name: shape for name, (_, shape) in header.items()}, architecture, str(path))
    return load_tensors(path)


def load_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, once its header is found to be sound.

    Raises
    ------
    InvalidInputError
        If it is damaged, or holds anything but real numbers.
    """
    tensor_shapes(path)
    try:
        return load_file(path)
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise InvalidInputError(f"{path} must be a whole safetensors file; it is damaged.") from error


def tensor_shapes(path: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Type and shape of every tensor of a safetensors file, from its header alone.

    Raises
    ------
    InvalidInputError
        If the header is damaged or longer than 8 MiB, or a tensor is not of floating-point numbers.
    """
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= _HEADER:
            raise InvalidInputError(f"{path} must be a whole safetensors file; its header is damaged.")
        text = file.read(length)
    content = parse_json(text.decode("utf-8", errors="replace"), f"the header of {path}")
    shapes: dict[str, tuple[str, tuple[int, ...]]] = {}
    for name, entry in content.items() if isinstance(content, dict) else ():
        if name == "__metadata__":
            continue
        kind, shape = (entry.get(key) for key in ("dtype", "shape")) if isinstance(entry, dict) else (None, None)
        if not isinstance(shape, list) or not all(isinstance(size, int) and 0 <= size < 1 << 48 for size in shape):
            raise InvalidInputError(f"{path} must be a whole safetensors file; its header is damaged.")
        if kind not in _REAL:
            raise InvalidInputError(f"weights must be of {', '.join(_REAL)}; {name} in {path} is of {kind}.")
        shapes[name] = (str(kind), tuple(shape))
    return shapes


def check_shapes(found: Mapping[str, tuple[int, ...]], architecture: Architecture | OwnModel, where: str) -> None:
    """Compare weights with what an architecture has, before a model of it is made; a module of your own is made for it.

    Raises
    ------
    InvalidInputError
        If a weight is missing, there is one too many, or it has another shape.
    """
    # Every layer has weights of its own; a looped block is one, and as deep as the forward pass takes.
    tied = isinstance(architecture, OwnModel) or architecture.tied
    if not isinstance(architecture, OwnModel) and architecture.layers > (_LOOPS if tied else len(found)):
        raise InvalidInputError(
            f"{where} must hold weights of every layer; its architecture has {architecture.layers} layers and it holds "
            f"{len(found)} tensors."
        )
    try:
        own = isinstance(architecture, OwnModel)
        wanted = _shapes_of(make(architecture, seed=None)) if own else _shapes(architecture)
    except RuntimeError as error:
        raise InvalidInputError(f"{where} must have sizes that a computer can address; they are larger.") from error
    for name in [*wanted, *found]:
        if wanted.get(name) != found.get(name):
            raise InvalidInputError(
                f"{where} must hold weights that fit its configuration; {name!r} has the shape "
                f"{found.get(name, 'of nothing')}, and there {wanted.get(name, 'of nothing')}."
            )


# Models of a sweep differ in their weights more often than in their architecture.
@lru_cache(maxsize=64)
def _shapes(architecture: Architecture) -> Mapping[str, tuple[int, ...]]:
    with without_numbers():
        return _shapes_of(make(architecture, seed=None))


def _shapes_of(model: Model) -> Mapping[str, tuple[int, ...]]:
    return MappingProxyType({name: tuple(value.shape) for name, value in model.state_dict().items()})


def built(architecture: Architecture | OwnModel, weights: Mapping[str, Tensor], where: str) -> Any:
    """A model with the given weights: in float64 if they are, else in float32, however they are stored.

    Raises
    ------
    InvalidInputError
        If they do not fit, or are not finite.
    """
    check_shapes({name: tuple(value.shape) for name, value in weights.items()}, architecture, where)
    for name, value in weights.items():
        if not value.is_floating_point() or not bool(value.isfinite().all()):
            raise InvalidInputError(f"{where} must hold finite real weights; {name!r} are not.")
    model = make(architecture, seed=None)
    double = any(weights[name].dtype == torch.float64 for name, _ in model.named_parameters())
    model.to(torch.float64 if double else torch.float32)
    model.load_state_dict(dict(weights))
    return model


def _trained_length(folder: Path) -> int | None:
    """N of the configuration or card beside a saved model, or of the run that a checkpoint belongs to."""
    for place in (folder / CONFIG, folder / CARD, folder.parent.parent / CONFIG):
        if place.is_file():
            n_train = read_mapping(place).get("n_train")
            if n_train is not None:
                return check_integer(n_train, f"n_train in {place}", minimum=1)
    return None


def read_mapping(path: Path) -> dict[str, Any]:
    """What a YAML or JSON file maps its keys to; nothing if it is of another kind.

    Raises
    ------
    InvalidInputError
        If it cannot be read.
    """
    found = read_document(path) if path.suffix == ".json" else read_yaml(path)
    return found if isinstance(found, dict) else {}


def describe(architecture: Architecture | OwnModel) -> dict[str, Any]:
    """The architecture as JSON-serialisable values."""
    return plain(architecture)


def _write_sums(folder: Path, sums: Mapping[str, str]) -> None:
    (folder / MANIFEST).write_text(json.dumps({"sha256": dict(sums)}, indent=2) + "\n", encoding="utf-8")


def _checksum(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
