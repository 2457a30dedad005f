"""A model of every mixer in every arrangement of tokens, small, with weights large enough that all parts matter."""

import sys

import numpy as np
import pytest
import torch

from iclab.models import Architecture, OwnModel, Transformer, TransformerPredictor, make
from iclab.models.mixers import MIXERS
from iclab.prompts import Prompts
from iclab.prompts.reading import allowing_code

D, P = 3, 7  # distinct primes: no transposed axis passes

SIZES = {"dimension": D, "max_points": P, "width": 8, "layers": 2}
ARCHITECTURES = {
    "lsa": Architecture.lsa(D, P),
    "deep-lsa": Architecture.lsa(D, P, layers=3, heads=2),
    "alibi": Architecture(**SIZES, positions="alibi"),
    "rotary-linear": Architecture(**SIZES, positions="rotary", attention="linear"),
    "tied": Architecture(**SIZES, tied=True, positions="none"),
    "looped": Architecture(**SIZES, loops=2, inject=True),
    "no-residual": Architecture(**SIZES | {"layers": 1}, residual=False, mlp=False),
}
for kind in MIXERS:
    ARCHITECTURES[kind] = Architecture(**SIZES, mixers=(kind,), positions="learned")
    ARCHITECTURES[f"stacked-{kind}"] = Architecture(**SIZES, mixers=(kind,), embedding="stacked", positions="none")

OWN = '''
import torch
from torch import nn

class Lstm(nn.Module):
    """Reads (x, label before it); has axes of prompts in the first and in the second place."""

    def __init__(self, dimension, width=5):
        super().__init__()
        self.read = nn.Linear(dimension + 1, width)
        self.memory = nn.LSTM(width, width)
        self.answer = nn.Linear(width, 1)

    def forward(self, xs, ys):
        before = nn.functional.pad(ys[:, :-1, None], (0, 0, 1, 0))
        hidden, _ = self.memory(self.read(torch.cat([xs, before], -1)).transpose(0, 1))
        return self.answer(hidden.transpose(0, 1))[..., 0]
'''


def randomised(architecture, dtype=torch.float64):
    model = Transformer(architecture).to(dtype)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator, dtype=dtype))
    return TransformerPredictor(model)


def drawn(n_prompts, *, shifted, seed=2):
    rng = np.random.default_rng(seed)
    xs, queries = rng.standard_normal((2, n_prompts, P, D))
    ys = rng.standard_normal((n_prompts, P))
    return Prompts(xs, ys, queries if shifted else xs, ys)


# Every arrangement of tokens: columns have branches whether queries are shifted or not.
CASES = [(kind, shifted) for kind, each in ARCHITECTURES.items() for shifted in {False, each.embedding != "stacked"}]


@pytest.fixture(params=CASES, ids=str)
def case(request):
    kind, shifted = request.param
    return randomised(ARCHITECTURES[kind]), drawn(5, shifted=shifted)


FEW = ("deep-lsa", "softmax", "stacked-linear", "looped", "stacked-retention", "mamba2", "lstm")


@pytest.fixture(params=FEW)
def few(request):
    return randomised(ARCHITECTURES[request.param])


@pytest.fixture(params=[False, True], ids=["own", "shifted"])
def prompts(request):
    return drawn(5, shifted=request.param)


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "inspected_nets.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("inspected_nets", None)
    description = OwnModel(object="inspected_nets:Lstm", arguments={"dimension": D}, dimension=D, outputs=1)
    return TransformerPredictor(make(allowing_code(description)))
