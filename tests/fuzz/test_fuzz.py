"""Odd inputs by the thousand: a sentence or the right thing, soon, and never a traceback or a silent change.

A share of each kind runs with the other tests; ``pytest -m slow tests/fuzz`` runs all of them, in about ten minutes.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import resource
import shutil
import signal
import sys
import time
import warnings
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from iclab.cli import main
from iclab.evaluation import compare
from iclab.foundations import InvalidInputError
from iclab.foundations.tables import read_arrays, read_numbers
from iclab.models import Architecture, load, save_model
from iclab.models.exchange import from_garg, from_hugging_face, to_hugging_face
from iclab.models.storage import _checksum
from iclab.models.transformer import Transformer
from iclab.predictors import Zero
from iclab.prompts import Gaussian, Linear, PromptDistribution
from iclab.studies.store import Store, Unit
from iclab.training import Run, preset, read_config, train
from iclab.training.linting import lint

_SPEC = spec_from_file_location("iclab_fuzz_generators", Path(__file__).with_name("generators.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
generators = module_from_spec(_SPEC)
sys.modules[_SPEC.name] = generators
_SPEC.loader.exec_module(generators)

# Seconds of CPU time for one input; a first import costs more.
SHARES = {"configurations": 600, "command lines": 40, "artefacts": 80, "flips": 60, "kills": 3}
ALL = {"configurations": 20_000, "command lines": 500, "artefacts": 500, "flips": 1000, "kills": 100}


def counts(name):
    """A share of the inputs, and behind the marker ``slow`` the others."""
    return [
        pytest.param(range(SHARES[name]), id="share"),
        pytest.param(range(SHARES[name], ALL[name]), id="all", marks=pytest.mark.slow),
    ]


def refusal(error):
    """The message, which is one line of at most 300 signs in our own words."""
    text = str(error)
    assert text.isprintable(), text
    assert 0 < len(text) <= 300
    for foreign in ("Input should", "validation error", "Traceback", "Error(s) in loading"):
        assert foreign not in text
    return text


def changes(given, read, place=""):
    """Where what was read is another value than what was given."""
    if isinstance(given, dict) and isinstance(read, dict):
        return [
            found
            for key, value in given.items()
            if key in read
            for found in changes(value, read[key], f"{place}.{key}")
        ]
    if isinstance(given, list) and isinstance(read, list | tuple):
        if len(given) != len(read):
            return [place]
        return [
            found
            for i, (one, other) in enumerate(zip(given, read, strict=True))
            for found in changes(one, other, f"{place}.{i}")
        ]
    number = [isinstance(value, int | float) and not isinstance(value, bool) for value in (given, read)]
    same = float(given) == float(read) if all(number) else (given == read and type(given) is type(read))
    return [] if same else [f"{place}: {given!r} was read as {read!r}"]


@pytest.fixture(scope="module", autouse=True)
def bounded():
    """What an input may ask for in address space: torch and its threads take some of it."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (16 << 30, before[1]))
    read_config({"preset": "tiny"})
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize("seeds", counts("configurations"))
def test_configurations(seeds, soon):
    outcomes = {"read": 0, "refused": 0}
    for seed in seeds:
        given = generators.configuration(seed)
        with soon(given), warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                config = read_config(given)
            except InvalidInputError as error:
                refusal(error)
                outcomes["refused"] += 1
                continue
            stated = {key: value for key, value in given.items() if key not in ("dimension", "n_train", "max_points")}
            if isinstance(stated.get("checkpoints"), list):  # says the same in short
                stated["checkpoints"] = {"steps": stated["checkpoints"]}
            assert not changes(stated, config.as_dict())
            assert config.at(0).as_dict() is not None
            lint(config)
            assert read_config(config.as_dict()) == config
            outcomes["read"] += 1
    assert min(outcomes.values()) > len(seeds) / 50, outcomes


@pytest.mark.parametrize("seeds", counts("command lines"))
def test_command_lines(seeds, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    Path("m.yaml").write_text("preset: tiny\nsteps: 3\n")
    Path("c.csv").write_text("1,0\n0,1\n")
    Path("d.csv").write_text("a,b\n1,2\n2,3\n4,1\n")
    for seed in seeds:
        line = generators.command_line(seed)
        if line[0] == "train":
            line = [*line[:-1], "--set", "steps=nonsense"]  # what a training costs is measured, which takes its time
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as stop:
            main(line)
        said = err.getvalue()
        assert stop.value.code in (0, 1, 2), (line, said)
        assert "Traceback" not in said, line
        assert "ICLAB_TRACEBACK" not in said, (line, said)
        if stop.value.code == 2:
            assert len(said.splitlines()[-1]) <= 310, line
            assert "\x1b" not in said


def seal(folder):
    names = [path.name for path in folder.iterdir() if path.name != "manifest.json" and path.is_file()]
    (folder / "manifest.json").write_text(json.dumps({"sha256": {name: _checksum(folder / name) for name in names}}))


@pytest.fixture(scope="module")
def artefacts(tmp_path_factory):
    """One small folder or file of every kind that is read: name → (path, how it is read)."""
    root = tmp_path_factory.mktemp("artefacts")
    architecture = Architecture(dimension=2, max_points=5, width=8, layers=1, heads=2)
    model = Transformer(architecture)
    model.n_train = 4
    save_model(model, root / "model", card={"n_train": 4})
    to_hugging_face(model, root / "gpt2")
    garg = root / "garg"
    garg.mkdir()
    (garg / "config.yaml").write_text(
        "model: {family: gpt2, n_dims: 2, n_positions: 5, n_embd: 8, n_layer: 1, n_head: 2}\n"
    )
    torch.save({"model_state_dict": {"_read_in.weight": torch.zeros(8, 2)}, "train_step": 1}, garg / "state.pt")
    table = pd.DataFrame({"a": [1.0, 2.5, -3.0], "b": [0.1, 0.2, 0.4]})
    table.to_csv(root / "data.csv", index=False)
    table.to_parquet(root / "data.parquet")
    np.save(root / "matrix.npy", np.eye(3))
    np.savez(root / "start.npz", u=1.0, U=np.eye(2))
    save_file({"a": torch.zeros(2)}, root / "one.safetensors")
    (root / "config.yaml").write_text("preset: tiny\ndimension: 2\nn_train: 4\nsteps: 10\n")
    found = {
        "model": (root / "model", load),
        "gpt2": (root / "gpt2", from_hugging_face),
        "garg": (garg, from_garg),
        "csv": (root / "data.csv", lambda path: read_numbers(path, header=True)),
        "parquet": (root / "data.parquet", lambda path: read_numbers(path, header=True)),
        "npy": (root / "matrix.npy", lambda path: read_numbers(path, header=False)),
        "npz": (root / "start.npz", read_arrays),
        "yaml": (root / "config.yaml", read_config),
    }
    for path, read in found.values():  # a first import costs more than the input
        with contextlib.suppress(InvalidInputError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read(path)
    return found


@pytest.mark.parametrize("seeds", counts("artefacts"))
def test_hostile_artefacts(seeds, soon, artefacts, tmp_path):
    for seed in seeds:
        rng = random.Random(seed)
        kind = sorted(artefacts)[seed % len(artefacts)]
        origin, read = artefacts[kind]
        place = tmp_path / origin.name
        if place.exists():
            shutil.rmtree(place) if place.is_dir() else place.unlink()
        if origin.is_dir():
            shutil.copytree(origin, place)
            victim = rng.choice(sorted(path for path in place.iterdir() if path.is_file()))
        else:
            shutil.copy(origin, place)
            victim = place
        victim.write_bytes(generators.damaged(victim.read_bytes(), seed))
        if kind == "model" and rng.random() < 0.8:
            seal(place)
        with soon((seed, kind, victim.name)), warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                read(place)
            except InvalidInputError as error:
                refusal(error)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run with its model saved beside it."""
    root = tmp_path_factory.mktemp("flips")
    small = {"width": 8, "layers": 1, "heads": 2}
    config = preset("tiny", dimension=2, n_train=4, steps=4, batch_size=2, n_evaluation=4, model=small)
    found = train(config, root / "run")
    found.export(root / "saved")
    return root


def weights_of(folder):
    model = load(folder, allow_code=True).model
    return {name: value.clone() for name, value in model.state_dict().items()}


LAW = PromptDistribution(Gaussian.isotropic(2), Linear())
UNIT = Unit(
    compare,
    {"predictors": {"zero": Zero()}, "distributions": {"law": LAW}, "n_points": 9, "n_prompts": 8, "seed": 0},
)


def read_again(folder):
    """What is read of a run, a saved model, or a finished unit of work."""
    if folder.name == "units":
        return {"table": Store(folder).find(UNIT)}
    found = weights_of(folder)
    if folder.name == "run":
        run = Run.open(folder)
        found |= {"config": run.config, "metrics": run.metrics}
    return found


def same(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, pd.DataFrame):
        return other is None or one.equals(other)  # a damaged unit is computed again
    if isinstance(one, list):  # lines of metrics, of which the last may be torn
        pairs = zip(one, other, strict=False)
        return len(other) >= len(one) - 1 and all({key: line.get(key) for key in kept} == kept for kept, line in pairs)
    return one == other


@pytest.mark.parametrize("seeds", counts("flips"))
def test_a_flipped_bit_is_noticed(seeds, run, tmp_path):
    """Of every file of a run, a saved model and a finished unit of work."""
    Store(run / "units").keep(UNIT, UNIT.compute())
    kinds = ("run", "saved", "units")
    whole = {name: read_again(run / name) for name in kinds}
    for seed in seeds:
        name = kinds[seed % 3]
        folder = tmp_path / name
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(run / name, folder)
        files = sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)
        victim = random.Random(seed).choice(files)
        victim.write_bytes(generators.flipped(victim.read_bytes(), seed))
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            try:
                found = read_again(folder)
            except InvalidInputError as error:
                refusal(error)
                continue
        # A damaged checkpoint is passed over, and said so.
        assert said or all(same(kept, found[key]) for key, kept in whole[name].items()), (seed, victim.name)


NET = """
import torch
from torch import nn

class Gru(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.cell = nn.GRU(d + 1, 8, batch_first=True)
        self.dropout = nn.Dropout(0.2)
        self.out = nn.Linear(8, 1)

    def forward(self, xs, ys):
        before = nn.functional.pad(ys[:, :-1], (1, 0))
        return self.out(self.dropout(self.cell(torch.cat([xs, before[..., None]], -1))[0]))[..., 0]
"""


def trainings():
    """Of numbers, of tokens, and of a module of one's own."""
    often = {"n_train": 4, "steps": 60, "batch_size": 2, "n_evaluation": 4, "device": "cpu"}
    often |= {"checkpoint_every": 5, "evaluate_every": 10, "log_every": 5}
    sizes = {"width": 8, "layers": 1, "heads": 2}
    chains = {"kind": "markov_chains", "n_symbols": 3}
    gaussian = {"covariates": {"kind": "gaussian", "dimension": 2}}
    given = (
        {"preset": "tiny", "dimension": 2, "model": sizes},
        {"prompts": chains, "model": {"dimension": 0, "max_points": 5, "head": "classes", "outputs": 3, **sizes}},
        {"prompts": gaussian, "model": {"kind": "own", "object": "net_of_fuzz:Gru", "arguments": {"d": 2}}},
    )
    return [read_config({**each, **often}, allow_code=True) for each in given]


@pytest.mark.parametrize("seeds", counts("kills"))
def test_a_training_killed_anywhere_goes_on_to_the_same_weights(seeds, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "net_of_fuzz.py").write_text(NET)
    torch.set_num_threads(1)
    configs = trainings()
    whole = [weights_of(train(config, tmp_path / f"whole{i}").directory) for i, config in enumerate(configs)]
    for seed in seeds:
        config, expected = configs[seed % 3], whole[seed % 3]
        folder = tmp_path / "run"
        shutil.rmtree(folder, ignore_errors=True)
        child = os.fork()
        if not child:
            with contextlib.suppress(BaseException):
                train(config, folder)
            os._exit(0)
        time.sleep(random.Random(seed).uniform(0.0, 1.5))
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        found = weights_of(train(config, folder).directory)
        assert all(torch.equal(found[key], value) for key, value in expected.items()), seed
        assert [line["step"] for line in Run.open(folder).metrics if "loss" in line] == list(range(5, 61, 5))
