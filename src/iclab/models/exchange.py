"""Models from and to other formats.

- A run of the 2022 code of Garg et al. (``config.yaml`` and ``state.pt``), read without unpickling code.
- The GPT-2 folder of Hugging Face transformers: ``config.json`` and ``model.safetensors``. Its GPT2Model has no
  numeric read-in and read-out; they travel beside it in ``read.safetensors``.
"""

from __future__ import annotations

import argparse
import difflib
import json
import pickle
import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from iclab.foundations import InvalidInputError, check_integer, user_path
from iclab.foundations.documents import read_document, read_yaml
from iclab.foundations.folders import whole_folder
from iclab.models.architecture import Architecture
from iclab.models.gpt2_fields import check_gpt2
from iclab.models.own import Model
from iclab.models.storage import built, load_tensors
from iclab.models.transformer import Transformer
from iclab.predictors.registry import shipped_models
from iclab.prompts.reading import validated

READ = "read.safetensors"
# The licence of models that ship with the package, and the hub's word for one that nobody has named.
_SHIPPED, _UNKNOWN = "apache-2.0", "unknown"
# Ours to the names in Garg et al.'s configurations, and the tags that these carry.
_GARG_SIZES = {
    "dimension": "n_dims",
    "max_points": "n_positions",
    "width": "n_embd",
    "layers": "n_layer",
    "heads": "n_head",
}
_MUNCH = ("!munch.Munch", "tag:yaml.org,2002:python/object:munch.Munch")
# Ours to theirs, within a block; their Conv1D stores matrices transposed.
_BLOCK = {
    "norm1": "ln_1",
    "attention.qkv": "attn.c_attn",
    "attention.out": "attn.c_proj",
    "norm2": "ln_2",
    "mlp.0": "mlp.c_fc",
    "mlp.2": "mlp.c_proj",
}


def from_garg(run: str | Path, step: int | None = None) -> Transformer:
    """Import a run of the code of Garg et al. (2022).

    Parameters
    ----------
    run : str or Path
        Folder with ``config.yaml`` and ``state.pt`` (or ``model_<step>.pt``).
    step : int, optional
        Take ``model_<step>.pt`` instead of the final state.

    Returns
    -------
    Transformer
        Makes the predictions of the original, in float32.

    Raises
    ------
    InvalidInputError
        If a file is missing, holds more than tensors and numbers, or is no GPT-2 of that code.
    """
    run = user_path(run)
    config, n_train = _garg_settings(run / "config.yaml")
    if config["family"] != "gpt2":
        raise InvalidInputError(f"{run} must hold a model of the family gpt2; {config['family']!r} was found.")
    architecture = validated(
        Architecture,
        {ours: config[theirs] for ours, theirs in _GARG_SIZES.items()},
        f"the model of {run / 'config.yaml'}",
    )
    path = run / ("state.pt" if step is None else f"model_{step}.pt")
    content = _unpickled(path)
    weights = content.get("model_state_dict", content)
    if not isinstance(weights, Mapping) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise InvalidInputError(f"{path} must hold weights by name, under 'model_state_dict' or as they are.")
    weights = _unwrapped(weights, str(path))
    backbone = {key.removeprefix("_backbone."): value for key, value in weights.items() if key.startswith("_backbone.")}
    ours = _from_gpt2(backbone, architecture, str(path), "_backbone.")
    for name in ("read_in", "read_out"):
        for part in ("weight", "bias"):
            ours[f"{name}.{part}"] = _take(weights, f"_{name}.{part}", str(path))
    model = built(architecture, ours, str(path))
    # A longest prompt beyond the table of positions was never trained.
    model.n_train = n_train if n_train is not None and n_train < architecture.max_points else None
    return model


def _unpickled(path: Path) -> Mapping[str, Any]:
    """What torch saved, read without running code: tensors, numbers, and arguments as people save them beside."""
    if not path.exists():
        raise InvalidInputError(f"{path} must exist; no such file was found.")
    if not path.is_file():
        raise InvalidInputError(f"{path} must be a regular file; it is none.")
    kinds = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
    numbers = [np.dtype, *(type(np.dtype(kind)) for kind in (*kinds, "float16", "float32", "float64"))]
    scalar = np.float64(0).__reduce__()[0]
    # None of these does more than to hold values.
    harmless: list[Any] = [argparse.Namespace, *numbers, scalar, (scalar, "numpy.core.multiarray.scalar")]
    try:
        with torch.serialization.safe_globals(harmless):
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL ([\w.]+)", str(error))
        held = f"a {found.group(1)}, which is code" if found else "what no tensor and no number is"
        raise InvalidInputError(
            f"{path} must be a run of Garg et al.'s code, of tensors and numbers only; it holds {held}."
        ) from error
    except Exception as error:  # whatever a damaged archive makes of torch's reader
        raise InvalidInputError(
            f"{path} must be a run of Garg et al.'s code; it is damaged or of another kind."
        ) from error
    if not isinstance(content, Mapping):
        raise InvalidInputError(f"{path} must hold weights by name; {type(content).__name__} was found.")
    return content


def _unwrapped(weights: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
    """Weights without the names that torch.compile and DataParallel put around a model or a part of it."""
    found: dict[str, Tensor] = {}
    for key, value in weights.items():
        name = ".".join(part for part in key.split(".") if part not in ("_orig_mod", "module"))
        if name in found:
            raise InvalidInputError(f"{where} must hold each weight once; {name!r} stands there twice, as {key!r} too.")
        found[name] = value
    return found


def _garg_settings(path: Path) -> tuple[dict[str, Any], int | None]:
    """What that code's configuration says of the model, and N if it says it: one less than its longest prompt."""
    content = read_yaml(path, ignored_tags=_MUNCH)
    model = content.get("model") if isinstance(content, dict) else None
    wanted = ("family", *_GARG_SIZES.values())
    missing = [key for key in wanted if key not in model] if isinstance(model, dict) else ["model"]
    if not isinstance(model, dict) or missing:
        raise InvalidInputError(
            f"{path} must have the section 'model' with {', '.join(wanted)}, as the code of Garg et al. writes it; "
            f"{missing[0]!r} is missing."
        )
    points: Any = content
    for key in ("training", "curriculum", "points", "end"):
        points = points.get(key) if isinstance(points, dict) else None
    return model, points - 1 if isinstance(points, int) and points > 1 else None


def from_hugging_face(
    folder: str | Path, *, dimension: int | None = None, max_points: int | None = None, seed: int = 0
) -> Transformer:
    """Import a Hugging Face GPT-2 folder.

    Parameters
    ----------
    folder : str or Path
        With ``config.json`` and ``model.safetensors`` of a GPT2Model or GPT2LMHeadModel.
    dimension : int, optional
        d, needed where ``to_hugging_face`` did not write the folder: its read-in and read-out are then new. Where it
        did, d is the folder's.
    max_points : int, optional
        Longest prompt; half of the model's positions when omitted.
    seed : int
        Of the new read-in and read-out.

    Raises
    ------
    InvalidInputError
        If a file is missing or no GPT-2, or ``dimension`` is missing or not that of the folder's read-in.
    """
    folder = user_path(folder)
    config = read_document(folder / "config.json")
    if not isinstance(config, dict) or config.get("model_type") != "gpt2":
        raise InvalidInputError(f"{folder} must hold a GPT-2; its config.json names no model_type 'gpt2'.")
    check_gpt2(config, str(folder / "config.json"))
    theirs = load_tensors(folder / "model.safetensors")
    read = load_tensors(folder / READ) if (folder / READ).exists() else None
    if read is not None:
        weight = _take(read, "read_in.weight", str(folder / READ))
        own = weight.shape[-1]
        if dimension not in (None, own):
            raise InvalidInputError(
                f"dimension must be the {own} of {folder}'s read-in; {dimension} was given: leave it out."
            )
        dimension = own
    if dimension is None:
        raise InvalidInputError(f"dimension must be given; {folder} holds no read-in of prompts.")
    architecture = validated(
        Architecture,
        {
            "dimension": dimension,
            "max_points": config["n_positions"] // 2 if max_points is None else max_points,
            "width": config["n_embd"],
            "layers": config["n_layer"],
            "heads": config["n_head"],
            "activation": config.get("activation_function", "gelu_new"),
        },
        str(folder / "config.json"),
    )
    named = {key.removeprefix("transformer."): tensor for key, tensor in theirs.items()}
    where = str(folder / "model.safetensors")
    rows = _take(named, "wpe.weight", where).shape[0]
    if rows != config["n_positions"]:
        raise InvalidInputError(
            f"n_positions in {folder / 'config.json'} must be that of the weights, {rows}; {config['n_positions']} was "
            "found."
        )
    ours = _from_gpt2(named, architecture, where)
    known = {"wpe.weight", "wte.weight", "lm_head.weight", "ln_f.weight", "ln_f.bias"}
    known |= {
        f"h.{layer}.{other}.{part}"
        for layer in range(architecture.layers)
        for other in _BLOCK.values()
        for part in ("weight", "bias")
    }
    for name in named.keys() - known:
        # Masks that older versions kept with the weights.
        if not re.fullmatch(r"h\.\d+\.attn\.(masked_)?bias", name):
            raise InvalidInputError(f"{where} must hold the weights of a GPT-2 only; {name!r} is of something else.")
    if read is None:
        fresh = Transformer(architecture, seed)
        read = {key: value for key, value in fresh.state_dict().items() if key.startswith(("read_in", "read_out"))}
    model = built(architecture, ours | read, where)
    if config.get("n_train") is not None:
        model.n_train = check_integer(config["n_train"], "n_train", minimum=1)
    return model


def licence_of(folder: Path | None, named: str | None = None) -> str:
    """The licence that a card names for weights: that of the package for a model that ships, else what the owner says.

    Parameters
    ----------
    folder : Path, optional
        Where the weights were loaded from, unchanged.
    named : str, optional
        What their owner says, as Hugging Face calls it, such as "mit".

    Returns
    -------
    str
        An identifier of Hugging Face; "unknown" where nobody has named one.

    Raises
    ------
    InvalidInputError
        If ``named`` is no identifier.
    """
    if named is None:
        return _SHIPPED if folder in shipped_models().values() else _UNKNOWN
    if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", named):
        raise InvalidInputError(f"licence must be an identifier of Hugging Face, such as apache-2.0; got {named!r}.")
    return named


def to_hugging_face(model: Model, folder: str | Path, *, texts: Mapping[str, str] | None = None) -> None:
    """Write a GPT-2 as a Hugging Face folder, with its read-in and read-out beside it.

    ``GPT2Model.from_pretrained(folder)`` then maps the tokens that the read-in makes to hidden states, from which
    the read-out predicts at every other token. N, where it is known, is the key ``n_train`` of ``config.json``.

    Parameters
    ----------
    model : Transformer
        What to write.
    folder : str or Path
        A new or empty one.
    texts : mapping, optional
        Further files, by name: a card, as ``iclab.training.sharing.shared_texts`` makes it.

    Raises
    ------
    InvalidInputError
        If the model is not exactly a GPT-2 (interleaved tokens, softmax, learned positions, untied whole blocks).
    """
    if not isinstance(model, Transformer):
        raise InvalidInputError("only a GPT-2 can be written for Hugging Face; a module of your own was given.")
    architecture = model.architecture
    plain = Architecture(
        dimension=architecture.dimension,
        max_points=architecture.max_points,
        width=architecture.width,
        layers=architecture.layers,
        heads=architecture.heads,
        activation=architecture.activation,
    )
    if architecture != plain:
        other = next(
            f"{field.name} {getattr(architecture, field.name)!r}"
            for field in fields(architecture)
            if getattr(architecture, field.name) != getattr(plain, field.name)
        )
        raise InvalidInputError(f"only a GPT-2 can be written for Hugging Face; this model has {other}.")
    folder = user_path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidInputError(f"{folder} must be new or empty, so that nothing is lost; it holds something.")
    ours = {key: value.detach().cpu() for key, value in model.state_dict().items()}
    theirs = {"wpe.weight": ours["positions.weight"], "wte.weight": torch.zeros(1, architecture.width)}
    for part in ("weight", "bias"):
        theirs[f"ln_f.{part}"] = ours[f"norm.{part}"]
        for layer in range(architecture.layers):
            for mine, other in _BLOCK.items():
                tensor = ours[f"blocks.{layer}.{mine}.{part}"]
                theirs[f"h.{layer}.{other}.{part}"] = tensor.T if tensor.ndim == 2 else tensor
    read = {key: value.contiguous() for key, value in ours.items() if key.startswith(("read_in", "read_out"))}
    config = {
        "architectures": ["GPT2Model"],
        "model_type": "gpt2",
        "activation_function": architecture.activation,
        "layer_norm_epsilon": 1e-5,
        "n_embd": architecture.width,
        "n_head": architecture.heads,
        "n_layer": architecture.layers,
        "n_positions": architecture.n_positions,
        "vocab_size": 1,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "resid_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "attn_pdrop": 0.0,
    }
    if model.n_train is not None:
        config["n_train"] = model.n_train
    with whole_folder(folder) as temporary:
        # As bytes: safetensors' own files are readable by their owner only.
        (temporary / "model.safetensors").write_bytes(
            save({key: value.contiguous() for key, value in theirs.items()}, {"format": "pt"})
        )
        (temporary / READ).write_bytes(save(read))
        for name, text in {"config.json": json.dumps(config, indent=2) + "\n", **(texts or {})}.items():
            (temporary / name).write_text(text, encoding="utf-8", newline="\n")


def _from_gpt2(
    theirs: Mapping[str, Tensor], architecture: Architecture, where: str, prefix: str = ""
) -> dict[str, Tensor]:
    if architecture.layers > len(theirs):
        raise InvalidInputError(f"{where} must hold {architecture.layers} layers; it holds {len(theirs)} tensors.")
    ours = {"positions.weight": _take(theirs, "wpe.weight", where, prefix)[: architecture.n_positions]}
    for part in ("weight", "bias"):
        ours[f"norm.{part}"] = _take(theirs, f"ln_f.{part}", where, prefix)
        for layer in range(architecture.layers):
            for mine, other in _BLOCK.items():
                tensor = _take(theirs, f"h.{layer}.{other}.{part}", where, prefix)
                ours[f"blocks.{layer}.{mine}.{part}"] = tensor.T if tensor.ndim == 2 else tensor
    return ours


def _take(weights: Mapping[str, Tensor], key: str, where: str, prefix: str = "") -> Tensor:
    if key not in weights:
        close = difflib.get_close_matches(key, list(weights), n=1, cutoff=0.3) or list(weights)[:1]
        found = f"{prefix}{close[0]}" if close else "nothing"
        raise InvalidInputError(
            f"{where} must hold the weights {prefix + key!r}; they are missing: the closest are {found!r}."
        )
    return weights[key]
