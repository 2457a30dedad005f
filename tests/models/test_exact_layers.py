"""One layer of each mixer computes an exact learner: with the right weights, to rounding."""

import math

import numpy as np
import pytest
import torch

from iclab.models import Architecture, Transformer, TransformerPredictor
from iclab.predictors import Averaging, DeltaRule, ForgettingAverage, Kaczmarz, RecursiveLeastSquares, Ridge
from iclab.prompts import Prompts

D, P = 5, 43  # more positions than a chunk of any mixer but the longest, at which 64 are one
RATE, GAMMA, PENALTY = 1 / (D + 2), 0.9, 0.3
ALWAYS = 40.0  # σ(40) = 1 in float64


def layer(kind, **parts):
    """The paper's columns (x, y), read and answered as they are, and one bare mixer."""
    model = Transformer(
        Architecture(
            dimension=D,
            max_points=P,
            width=D + 1,
            layers=1,
            heads=1,
            embedding="stacked",
            read_in="identity",
            positions="none",
            mlp=False,
            layer_norm=False,
            mixers=(kind,),
            bare=True,
            convolution=0,
            **parts,
        )
    ).double()
    mixer = model.blocks[0].mixes
    with torch.no_grad():
        for parameter in mixer.parameters():
            parameter.zero_()
        if hasattr(mixer, "qkv"):
            q, k, v = mixer.qkv.weight.view(3, D + 1, D + 1)
            q[:D, :D] = k[:D, :D] = torch.eye(D)
            v[D, D] = 1
        mixer.out.weight[:, : D + 1] = torch.eye(D + 1)
    return model, mixer


def logit(p):
    return math.log(p / (1 - p))


def linear():
    return layer("linear"), Averaging()


def kaczmarz():
    model, mixer = layer("delta")
    mixer.rate.bias += ALWAYS
    return (model, mixer), Kaczmarz()


def delta():
    model, mixer = layer("delta", keys="plain")
    mixer.rate.bias += logit(RATE)
    return (model, mixer), DeltaRule(RATE)


def gated_delta():
    model, mixer = layer("gated_delta", keys="plain")
    mixer.rate.bias += logit(RATE)
    mixer.log_speed -= 100  # nothing is forgotten
    return (model, mixer), DeltaRule(RATE)


def retention():
    model, mixer = layer("retention")
    mixer.decay += math.log(GAMMA) - mixer.decay
    mixer.out.weight *= (1 - GAMMA) * math.sqrt(D + 1)
    return (model, mixer), ForgettingAverage(GAMMA)


def gla():
    model, mixer = layer("gla")
    mixer.up.bias += logit(GAMMA**16)
    mixer.out.weight *= (1 - GAMMA) * math.sqrt(D + 1)
    return (model, mixer), ForgettingAverage(GAMMA)


def mamba2():
    model, mixer = layer("mamba2")
    mixed = mixer.xbc.weight
    mixed[D, D] = 1  # the inner coordinate of the label
    mixed[mixer.inner : mixer.inner + D, :D] = torch.eye(D)
    mixed[mixer.inner + mixer.size : mixer.inner + mixer.size + D, :D] = torch.eye(D)
    mixer.step.bias += math.log(math.e - 1)  # Δ = 1
    mixer.log_speed += math.log(-math.log(GAMMA))
    mixer.out.weight *= 1 - GAMMA
    return (model, mixer), ForgettingAverage(GAMMA)


def mesa():
    model, mixer = layer("mesa", keys="plain")
    mixer.rate.bias += ALWAYS
    mixer.log_ridge += math.log(PENALTY - 1e-6)
    return (model, mixer), RecursiveLeastSquares(PENALTY)


def half_mesa():
    """Half of each example's weight: twice the ridge."""
    model, mixer = layer("mesa", keys="plain")
    mixer.log_ridge += math.log(PENALTY - 1e-6)
    return (model, mixer), Ridge(2 * PENALTY)


@pytest.mark.parametrize(
    "make",
    [linear, kaczmarz, delta, gated_delta, retention, gla, mamba2, mesa, half_mesa],
    ids=lambda f: f.__name__,
)
def test_a_layer_is_its_exact_learner(make):
    with torch.no_grad():
        (model, _), learner = make()
    rng = np.random.default_rng(0)
    xs, queries = rng.standard_normal((2, 4, P, D))
    if make is kaczmarz:  # whose keys have norm 1: inputs of one length
        xs, queries = (math.sqrt(D) * part / np.linalg.norm(part, axis=2, keepdims=True) for part in (xs, queries))
    ys = rng.standard_normal((4, P))
    prompts = Prompts(xs, ys, queries, ys)
    found, expected = TransformerPredictor(model)(prompts), learner(prompts)
    assert np.abs(found - expected).max() <= 1e-10 * np.abs(expected).max()
