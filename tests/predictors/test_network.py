"""The trained two-layer network is torch's, trained by torch's Adam."""

import numpy as np
import pytest
import torch
from torch import nn

from iclab.predictors import TwoLayerNetwork
from iclab.prompts import Gaussian, PromptDistribution, Prompts, ReluNetwork


def by_torch(learner, xs, ys, query):
    """The prediction for one query; weights and the examples of each step are drawn in the learner's order."""
    rng = np.random.default_rng(learner.seed)
    d, h = xs.shape[1], learner.hidden
    net = nn.Sequential(nn.Linear(d, h), nn.ReLU(), nn.Linear(h, 1)).double()
    with torch.no_grad():
        for layer, fan in ((net[0], d), (net[2], h)):
            for part in (layer.weight, layer.bias):
                drawn = rng.uniform(-1, 1, part.T.shape if part.ndim == 2 else (1, *part.shape)) / np.sqrt(fan)
                part.copy_(torch.from_numpy(drawn.T if part.ndim == 2 else drawn[0]))
    adam = torch.optim.Adam(net.parameters(), lr=learner.rate)
    for _ in range(learner.steps):
        chosen = rng.permutation(len(xs))[: learner.batch] if len(xs) > learner.batch else np.arange(len(xs))
        adam.zero_grad()
        said = net(torch.from_numpy(xs[chosen]))[:, 0]
        nn.functional.mse_loss(said, torch.from_numpy(ys[chosen])).backward()
        adam.step()
    return float(net(torch.from_numpy(query)).detach())


@pytest.mark.parametrize("batch", [100, 4], ids=["all examples", "some at a time"])
def test_it_is_trained_as_by_torch(batch):
    learner = TwoLayerNetwork(hidden=7, steps=30, batch=batch, seed=3)
    prompts = PromptDistribution(Gaussian.isotropic(3), ReluNetwork(5)).sample(2, 8, seed=0)
    found = learner(prompts)
    for b in range(2):
        for i in (1, 4, 7):
            expected = by_torch(learner, prompts.xs[b, :i], prompts.ys[b, :i], prompts.queries[b, i])
            assert found[b, i] == pytest.approx(expected, rel=1e-9)


def test_steps_on_some_examples_forget_none():
    """Of 40 copies of two examples each step sees four: the network fits both."""
    xs = np.tile([[[1.0], [-1.0]]], (1, 20, 1))
    xs = np.concatenate([xs, [[[1.0]]]], axis=1)
    ys = np.where(xs[..., 0] > 0, 0.5, -0.25)
    learner = TwoLayerNetwork(hidden=20, steps=300, batch=4)
    assert learner(Prompts(xs, ys, xs, ys))[0, -1] == pytest.approx(0.5, abs=0.05)
