"""One architecture of every kind, with random weights large enough that attention matters."""

import numpy as np
import pytest
import torch

from iclab.models import Architecture, Transformer
from iclab.prompts import Prompts

D, P = 3, 7  # distinct primes: no transposed axis passes

ARCHITECTURES = {
    "gpt2": Architecture.gpt2(3, D, P),
    "lsa": Architecture.lsa(D, P),
    "deep-lsa": Architecture.lsa(D, P, layers=3, heads=2),
    "looped": Architecture(dimension=D, max_points=P, width=8, layers=3, tied=True, positions="none"),
    "rotary": Architecture(dimension=D, max_points=P, width=8, positions="rotary"),
    "rotary-linear": Architecture(dimension=D, max_points=P, width=8, positions="rotary", attention="linear"),
    "alibi": Architecture(dimension=D, max_points=P, width=8, positions="alibi"),
    "stacked": Architecture(dimension=D, max_points=P, width=8, embedding="stacked"),
    "stacked-linear": Architecture(
        dimension=D, max_points=P, width=8, embedding="stacked", attention="linear", layer_norm=False, mlp=False
    ),
    "no-residual": Architecture(dimension=D, max_points=P, width=8, layers=1, residual=False, mlp=False),
    "hybrid": Architecture(
        dimension=D, max_points=P, width=8, layers=4, mixers=("softmax", "linear"), positions="rotary"
    ),
    "merged-wide": Architecture(
        dimension=D, max_points=P, width=8, embedding="stacked", attention="merged", positions="none", layer_norm=False
    ),
}

RECURRENT = ("retention", "gla", "delta", "gated_delta", "mesa", "mamba2", "lstm", "gru")
for _kind in RECURRENT:
    _parts = {"dimension": D, "max_points": P, "width": 8, "layers": 2, "mixers": (_kind,)}
    ARCHITECTURES[_kind] = Architecture(**_parts)
    ARCHITECTURES[f"stacked-{_kind}"] = Architecture(**_parts, embedding="stacked", positions="none", bare=True)
ARCHITECTURES["mixed"] = Architecture(
    dimension=D, max_points=P, width=8, layers=4, mixers=("mamba2", "softmax", "delta", "lstm"), convolution=3
)


def build(architecture: Architecture, dtype: torch.dtype = torch.float64) -> Transformer:
    model = Transformer(architecture).to(dtype)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator, dtype=dtype))
    return model


@pytest.fixture(params=ARCHITECTURES)
def model(request):
    return build(ARCHITECTURES[request.param])


@pytest.fixture
def prompts():
    rng = np.random.default_rng(2)
    ys = rng.standard_normal((5, P))
    return Prompts(xs=rng.standard_normal((5, P, D)), ys=ys, queries=rng.standard_normal((5, P, D)), targets=ys)


@pytest.fixture
def randomised():
    """Builds a model of an architecture with large random weights."""
    return build
