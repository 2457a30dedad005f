"""Models from and to other formats.

- A run of the 2022 code of Garg et al. (``config.yaml`` and ``state.pt``), read without unpickling code.
- The GPT-2 folder of Hugging Face transformers: ``config.json`` and ``model.safetensors``. Its GPT2Model has no
  numeric read-in and read-out; they travel beside it in ``read.safetensors``.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from iclab.foundations import InvalidInputError, check_integer, read_json
from iclab.models.architecture import Architecture
from iclab.models.transformer import Transformer

READ = "read.safetensors"
# What the configurations must hold.
_GARG = ("family", "n_dims", "n_positions", "n_embd", "n_layer", "n_head")
_GPT2 = ("n_positions", "n_embd", "n_layer", "n_head")
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
    run = Path(run)
    try:
        config, n_train = _garg_settings(run / "config.yaml")
        if config["family"] != "gpt2":
            raise InvalidInputError(f"{run} must hold a model of the family gpt2; {config['family']!r} was found.")
        architecture = Architecture(
            dimension=config["n_dims"],
            max_points=config["n_positions"],
            width=config["n_embd"],
            layers=config["n_layer"],
            heads=config["n_head"],
        )
        path = run / ("state.pt" if step is None else f"model_{step}.pt")
        # weights_only: nothing in the file is executed.
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InvalidInputError(f"{error.filename} must exist; no such file was found.") from error
    except (EOFError, ValueError, OSError, RuntimeError, yaml.YAMLError, pickle.UnpicklingError) as error:
        if isinstance(error, InvalidInputError):
            raise
        reason = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
        raise InvalidInputError(f"{run} must be a run of Garg et al.'s code; {reason}.") from error
    if not isinstance(content, Mapping):
        raise InvalidInputError(f"{path} must hold weights by name; {type(content).__name__} was found.")
    weights: Mapping[str, Tensor] = content.get("model_state_dict", content)
    backbone = {key.removeprefix("_backbone."): value for key, value in weights.items() if key.startswith("_backbone.")}
    ours = _from_gpt2(backbone, architecture, str(run))
    for name in ("read_in", "read_out"):
        for part in ("weight", "bias"):
            ours[f"{name}.{part}"] = _take(weights, f"_{name}.{part}", str(run))
    return _built(architecture, ours, str(run), n_train)


def _garg_settings(path: Path) -> tuple[dict[str, Any], int | None]:
    """What that code's configuration says of the model, and N if it says it: one less than its longest prompt."""
    content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    model = content.get("model") if isinstance(content, dict) else None
    missing = [key for key in _GARG if key not in model] if isinstance(model, dict) else ["model"]
    if not isinstance(model, dict) or missing:
        raise InvalidInputError(
            f"{path} must have the section 'model' with {', '.join(_GARG)}, as the code of Garg et al. writes it; "
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
    folder = Path(folder)
    config = read_json(folder / "config.json")
    if not isinstance(config, dict) or config.get("model_type") != "gpt2":
        raise InvalidInputError(f"{folder} must hold a GPT-2; its config.json names no model_type 'gpt2'.")
    missing = [key for key in _GPT2 if key not in config]
    if missing:
        raise InvalidInputError(f"{folder}'s config.json must have {', '.join(_GPT2)}; {missing[0]!r} is missing.")
    activation = config.get("activation_function", "gelu_new")
    if activation not in ("gelu_new", "gelu") or config.get("layer_norm_epsilon", 1e-5) != 1e-5:
        raise InvalidInputError(f"{folder} must hold GPT-2's blocks (gelu_new or gelu, layer_norm_epsilon 1e-5).")
    try:
        theirs = load_file(folder / "model.safetensors")
        read = load_file(folder / READ) if (folder / READ).exists() else None
    except (OSError, SafetensorError) as error:
        raise InvalidInputError(f"{folder} must hold readable safetensors; {error}.") from error
    if read is not None:
        own = _take(read, "read_in.weight", str(folder)).shape[1]
        if dimension not in (None, own):
            raise InvalidInputError(
                f"dimension must be the {own} of {folder}'s read-in; {dimension} was given: leave it out."
            )
        dimension = own
    if dimension is None:
        raise InvalidInputError(f"dimension must be given; {folder} holds no read-in of prompts.")
    architecture = Architecture(
        dimension=check_integer(dimension, "dimension", minimum=1),
        max_points=config["n_positions"] // 2 if max_points is None else max_points,
        width=config["n_embd"],
        layers=config["n_layer"],
        heads=config["n_head"],
        activation=activation,
    )
    ours = _from_gpt2({key.removeprefix("transformer."): t for key, t in theirs.items()}, architecture, str(folder))
    if read is None:
        fresh = Transformer(architecture, seed)
        read = {key: value for key, value in fresh.state_dict().items() if key.startswith(("read_in", "read_out"))}
    n_train = config.get("n_train")
    return _built(architecture, ours | read, str(folder), n_train if isinstance(n_train, int) else None)


def to_hugging_face(model: Transformer, folder: str | Path) -> None:
    """Write a GPT-2 as a Hugging Face folder, with its read-in and read-out beside it.

    ``GPT2Model.from_pretrained(folder)`` then maps the tokens that the read-in makes to hidden states, from which
    the read-out predicts at every other token. N, where it is known, is the key ``n_train`` of ``config.json``.

    Raises
    ------
    InvalidInputError
        If the model is not exactly a GPT-2 (interleaved tokens, softmax, learned positions, untied whole blocks).
    """
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
        raise InvalidInputError(f"only a GPT-2 can be written for Hugging Face; {architecture} was given.")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    ours = model.state_dict()
    theirs = {"wpe.weight": ours["positions.weight"], "wte.weight": torch.zeros(1, architecture.width)}
    for part in ("weight", "bias"):
        theirs[f"ln_f.{part}"] = ours[f"norm.{part}"]
        for layer in range(architecture.layers):
            for mine, other in _BLOCK.items():
                tensor = ours[f"blocks.{layer}.{mine}.{part}"]
                theirs[f"h.{layer}.{other}.{part}"] = tensor.T if tensor.ndim == 2 else tensor
    # As bytes: safetensors' own files are readable by their owner only.
    (folder / "model.safetensors").write_bytes(
        save({key: value.contiguous() for key, value in theirs.items()}, {"format": "pt"})
    )
    read = {key: value.contiguous() for key, value in ours.items() if key.startswith(("read_in", "read_out"))}
    (folder / READ).write_bytes(save(read))
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
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _from_gpt2(theirs: Mapping[str, Tensor], architecture: Architecture, where: str) -> dict[str, Tensor]:
    ours = {"positions.weight": _take(theirs, "wpe.weight", where)[: architecture.n_positions]}
    for part in ("weight", "bias"):
        ours[f"norm.{part}"] = _take(theirs, f"ln_f.{part}", where)
        for layer in range(architecture.layers):
            for mine, other in _BLOCK.items():
                tensor = _take(theirs, f"h.{layer}.{other}.{part}", where)
                ours[f"blocks.{layer}.{mine}.{part}"] = tensor.T if tensor.ndim == 2 else tensor
    return ours


def _take(weights: Mapping[str, Tensor], key: str, where: str) -> Tensor:
    if key not in weights:
        raise InvalidInputError(f"{where} must hold the weights {key!r}; they are missing.")
    return weights[key]


def _built(architecture: Architecture, weights: Mapping[str, Tensor], where: str, n_train: int | None) -> Transformer:
    model = Transformer(architecture, seed=None).to(weights["positions.weight"].dtype)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise InvalidInputError(f"{where} must hold weights that fit its configuration; {reason}.") from error
    model.n_train = n_train
    return model
