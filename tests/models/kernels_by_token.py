"""The functions of flash-linear-attention that are used, by their documentation: one token after the other, in torch.

Queries, keys, values (B, T, H, ·); ``g`` the logarithm of what is kept, per token (B, T, H) or coordinate (B, T, H, K);
``beta`` (B, T, H). Each answers what tokens read once they have written, and a state that nobody asks for.
"""

import sys
from types import ModuleType

import torch


def scan(q, k, v, g, beta, scale, corrected):
    state = torch.zeros(*q.shape[:1], *q.shape[2:], v.shape[-1], dtype=q.dtype)  # (B, H, K, V)
    read = []
    for t in range(q.shape[1]):
        state = g[:, t].exp()[..., None] * state
        known = (state * k[:, t, ..., None]).sum(-2) if corrected else 0.0
        state = state + beta[:, t, :, None, None] * k[:, t, ..., None] * (v[:, t] - known)[..., None, :]
        read.append(scale * (state * q[:, t, ..., None]).sum(-2))
    return torch.stack(read, 1), None


def chunk_simple_gla(q, k, v, g, scale):
    return scan(q, k, v, g[..., None], torch.ones_like(g), scale, corrected=False)


def chunk_gla(q, k, v, g, scale):
    return scan(q, k, v, g, torch.ones_like(g[..., 0]), scale, corrected=False)


def chunk_gated_delta_rule(q, k, v, g, beta, scale):
    return scan(q, k, v, g[..., None], beta, scale, corrected=True)


def stand_in(monkeypatch, calls=None):
    """Let these be what is imported for the package's, and count them."""
    functions = {
        "simple_gla": chunk_simple_gla,
        "gla": chunk_gla,
        "gated_delta_rule": chunk_gated_delta_rule,
    }
    for name in ("fla", "fla.ops"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    for name, function in functions.items():
        module = ModuleType(f"fla.ops.{name}")

        def counted(_function=function, **given):
            if calls is not None:
                calls.append(_function.__name__)
            return _function(**given)

        setattr(module, function.__name__, counted)
        monkeypatch.setitem(sys.modules, module.__name__, module)
