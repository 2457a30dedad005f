"""Folders from strangers: one sentence, soon, and nothing outside the folder is read."""

import json
import os

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from iclab.foundations import InvalidInputError
from iclab.models import Architecture, load, save_model
from iclab.models.predictor import checkpoints
from iclab.models.storage import _checksum, read_model
from iclab.models.transformer import Transformer


@pytest.fixture
def folder(tmp_path):
    save_model(Transformer(Architecture(dimension=2, max_points=5, width=8, layers=1)), tmp_path / "model")
    return tmp_path / "model"


def seal(folder, **more):
    """A manifest that fits, as whoever forges a folder would write it."""
    sums = {path.name: _checksum(path) for path in folder.iterdir() if path.name != "manifest.json" and path.is_file()}
    (folder / "manifest.json").write_text(json.dumps({"sha256": {**sums, **more}}))


def change(folder, name="architecture.json", **values):
    (folder / name).write_text(json.dumps({**json.loads((folder / name).read_text()), **values}))


def weights(folder, turn):
    path = folder / "model.safetensors"
    save_file({key: turn(key, value).contiguous() for key, value in load_file(path).items()}, path)


def device(folder):
    seal(folder, **{"/dev/zero": "0" * 64})


def outside(folder):
    seal(folder, **{"../secret": "0" * 64})


def pipe(folder):
    os.mkfifo(folder / "pipe")
    seal(folder, pipe="0" * 64)


def link(folder):
    (folder.parent / "weights").write_bytes((folder / "model.safetensors").read_bytes())
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to(folder.parent / "weights")
    seal(folder)


def directory(folder):
    (folder / "inner").mkdir()
    seal(folder, inner="0" * 64)


def deep(folder):
    (folder / "architecture.json").write_text("[" * 100_000)
    seal(folder)


def long_header(folder):
    (folder / "model.safetensors").write_bytes((1 << 40).to_bytes(8, "little") + b"{}")
    seal(folder)


def deep_header(folder):
    text = b'{"a":' * 5000
    (folder / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text)
    seal(folder)


def cut(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-8])
    seal(folder)


def architecture(**values):
    def apply(folder):
        change(folder, **values)
        seal(folder)

    return apply


def tensors(turn):
    def apply(folder):
        weights(folder, turn)
        seal(folder)

    return apply


def card(**values):
    def apply(folder):
        (folder / "card.json").write_text(json.dumps(values))
        seal(folder)

    return apply


def manifest(content):
    def apply(folder):
        (folder / "manifest.json").write_text(content)

    return apply


DAMAGES = {
    "device": device,
    "outside": outside,
    "pipe": pipe,
    "link": link,
    "directory": directory,
    "deep": deep,
    "long header": long_header,
    "deep header": deep_header,
    "cut": cut,
    "layers": architecture(layers=200_000),
    "loops": architecture(layers=200_000, tied=True),
    "width": architecture(width=1 << 40),
    "points": architecture(max_points=1 << 50),
    "points in words": architecture(max_points="5"),
    "truth": architecture(layers=True),
    "unknown key": architecture(object="os:system"),
    "integers": tensors(lambda key, value: value.to(torch.int64)),
    "complex": tensors(lambda key, value: value.to(torch.complex64)),
    "nan": tensors(lambda key, value: value * float("nan")),
    "flat": tensors(lambda key, value: value.reshape(-1)),
    "one more": tensors(lambda key, value: value[None]),
    "no examples": card(n_train=0),
    "examples in words": card(n_train="5"),
    "empty manifest": manifest("{}"),
    "list manifest": manifest("[]"),
    "deep manifest": manifest("[" * 100_000),
    "long manifest": manifest('{"sha256": {' + '"a": "b",' * 200_000 + '"c": ""}}'),
    "null manifest": manifest('{"sha256": null}'),
    "torn manifest": manifest('{"sha256'),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_forged_folder_is_one_sentence_at_once(soon, folder, name):
    DAMAGES[name](folder)
    with soon(), pytest.raises(InvalidInputError) as error:
        load(folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_half_precision_computes_in_single_and_double_in_double(folder, kind):
    weights(folder, lambda key, value: value.to(kind))
    seal(folder)
    found = next(read_model(folder).parameters()).dtype
    assert found == (torch.float64 if kind == torch.float64 else torch.float32)


def test_the_cache_of_the_hub_may_link_to_its_blobs(tmp_path, folder):
    snapshot = tmp_path / "models--x" / "snapshots" / "1"
    blobs = tmp_path / "models--x" / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for path in folder.iterdir():
        (blobs / _checksum(path)).write_bytes(path.read_bytes())
        (snapshot / path.name).symlink_to(f"../../blobs/{_checksum(path)}")
    assert load(snapshot).architecture == load(folder).architecture


def test_a_folder_named_like_a_digit_is_no_checkpoint(tmp_path):
    for name in ("7", "²", "007", "x", "10"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
    assert [path.name for path in checkpoints(tmp_path)] == ["10", "7", "7"][: len(list(checkpoints(tmp_path)))]


def test_saving_over_a_model_leaves_it_whole_when_the_disk_is_full(folder, monkeypatch):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    model = Transformer(Architecture(dimension=3, max_points=4, width=8, layers=1))

    def full(self, *_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.write_bytes", full)
        with pytest.raises(OSError, match="No space left"):
            save_model(model, folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == ["model"]
    save_model(model, folder)
    assert load(folder).architecture.dimension == 3
    np.testing.assert_array_equal([path.name for path in folder.parent.iterdir()], ["model"])
