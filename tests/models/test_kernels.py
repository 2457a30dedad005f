"""Kernels of flash-linear-attention are given what they take for what our chunks compute."""

import dataclasses
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from iclab.foundations import InvalidInputError
from iclab.models import Architecture
from iclab.models.embedding import gathered, layout
from iclab.models.mixers import kernels

from .kernels_by_token import stand_in

SMALL = Architecture(dimension=3, max_points=7, width=12, layers=1, heads=2)
CPU = torch.device("cpu")


@pytest.fixture
def by_token(monkeypatch):
    calls = []
    stand_in(monkeypatch, calls)
    monkeypatch.setattr(kernels, "DTYPE", torch.float64)
    return calls


def read_and_gradients(mixer, where, rows, on):
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(3, len(where.positions), 12, dtype=torch.float64, generator=generator).requires_grad_()
    with kernels.using(on):
        read = mixer(x, where, rows)
    return read, torch.autograd.grad(read.square().sum(), [x, *mixer.parameters()])


@pytest.mark.parametrize("embedding", ["interleaved", "stacked"])
@pytest.mark.parametrize("kind", kernels.KERNELS)
def test_kernels_read_what_chunks_read(kind, embedding, by_token, randomised):
    mixer = randomised(dataclasses.replace(SMALL, mixers=(kind,))).blocks[0].mixes
    where = layout(embedding, 6, False, CPU)
    for rows in (slice(None), where.readout):
        (read, gradients), (own, own_gradients) = (read_and_gradients(mixer, where, rows, on) for on in (True, False))
        torch.testing.assert_close(read, own, rtol=1e-10, atol=1e-12)
        for found, expected in zip(gradients, own_gradients, strict=True):
            assert (found - expected).abs().max() <= 1e-10 * expected.abs().max()
    assert len(by_token) == 2


@pytest.mark.parametrize("where", [layout("interleaved", 6, True, CPU), gathered("stacked", 5, 4, CPU)])
@pytest.mark.parametrize("kind", ["mesa", "gla", "delta"])
def test_shifted_queries_and_mesa_are_read_by_chunks(kind, where, by_token, randomised):
    mixer = randomised(dataclasses.replace(SMALL, mixers=(kind,))).blocks[0].mixes
    read_and_gradients(mixer, where, slice(None), True)
    assert not by_token


def test_heads_that_are_too_large_are_read_by_chunks(by_token, randomised):
    mixer = randomised(dataclasses.replace(SMALL, width=300, heads=1, mixers=("retention",))).blocks[0].mixes
    with kernels.using(True):
        mixer(torch.zeros(1, 11, 300, dtype=torch.float64), layout("interleaved", 6, False, CPU), slice(None))
    assert not by_token


def test_what_is_missing_is_said_in_one_sentence(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InvalidInputError, match=r"^[^\n]*no GPU was found[^\n]*\.$"):
        kernels.check_kernels()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    stand_in(monkeypatch)
    assert kernels.missing() is None
    monkeypatch.setitem(sys.modules, "fla.ops.gla", None)
    with pytest.raises(InvalidInputError, match=r"^[^\n]*flash-linear-attention[^\n]*\.$"):
        kernels.check_kernels()


@pytest.mark.skipif(find_spec("fla") is None, reason="needs the extra `kernels`")
def test_the_kernels_themselves_read_what_chunks_read():
    """By Triton's interpreter; a gradient of a few numbers is a sum of many that cancel."""
    program = Path(__file__).with_name("interpreted_kernels.py")
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.keys() >= {f"{kind}, stacked" for kind in kernels.KERNELS}
    for reads, gradients in found.values():
        assert reads <= 2e-5
        assert gradients <= 2e-4
