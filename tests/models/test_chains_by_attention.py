"""Two layers of attention without MLPs come nearer to Bayes on Markov chains than logits β·frequency: by construction.

The first layer brings to every token the symbol before it. The second attends to the tokens whose symbol before is the
last symbol, and with weight c to the empty first token, which says nothing: logits are β n_j/(n + c).
"""

import math

import numpy as np
import pytest
import torch

from iclab.models import Architecture, Transformer, TransformerPredictor
from iclab.prompts import MarkovChains
from iclab.studies.sequences.lines import DAMPED, FREQUENCIES, chain_lines, damped, transitions

K, P = 3, 101
SHARP = 80.0  # e^-80 is nothing beside 1 in float64
SYMBOL, BEFORE, LOGIT = (slice(i * K, (i + 1) * K) for i in range(3))
PLACES = slice(3 * K, 3 * K + P)
WIDTH = 3 * K + P
ONE, HERE = (torch.eye(size, dtype=torch.float64) for size in (K, P))


def by_attention(beta, c):
    """The model whose logits are β n_j/(n + c), in float64."""
    model = Transformer(
        Architecture(
            dimension=0,
            max_points=P,
            width=WIDTH,
            layers=2,
            heads=1,
            mlp=False,
            layer_norm=False,
            head="classes",
            outputs=K,
        )
    ).double()
    scale = SHARP * math.sqrt(WIDTH)  # scores are divided by √h
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.read_in.weight[SYMBOL] = ONE
        model.positions.weight[:, PLACES] = HERE
        model.read_out.weight[:, LOGIT] = ONE
        first, second = (block.attention for block in model.blocks)
        q, k, v = first.qkv.weight.view(3, WIDTH, WIDTH)
        q[PLACES, PLACES] = scale * HERE.roll(-1, 0)  # token t asks for place t − 1
        k[PLACES, PLACES] = HERE
        v[SYMBOL, SYMBOL] = ONE
        first.out.weight[BEFORE, SYMBOL] = ONE
        q, k, v = second.qkv.weight.view(3, WIDTH, WIDTH)
        q[SYMBOL, SYMBOL] = scale * ONE
        k[SYMBOL, BEFORE] = ONE
        empty = PLACES.start
        second.qkv.bias[empty] = scale  # every token asks for the first place too
        k[empty, empty] = 1 + math.log(c) / SHARP
        v[SYMBOL, SYMBOL] = ONE
        second.out.weight[LOGIT, SYMBOL] = beta * ONE
    return TransformerPredictor(model)


@pytest.fixture(scope="module")
def lines():
    return chain_lines(K, P - 1, 300, 0).set_index("predictor")


def test_attention_computes_damped_frequencies(lines):
    beta, c = lines.loc[DAMPED, ["beta", "c"]]
    prompts = MarkovChains(K).sample(20, P, seed=1)
    said = by_attention(beta, c)(prompts)
    logits = damped(transitions(prompts), beta, c)
    expected = np.exp(logits) / np.exp(logits).sum(2, keepdims=True)
    np.testing.assert_allclose(said[:, 1:], expected[:, 1:], rtol=1e-10)


def test_which_is_below_the_best_frequencies_by_more_than_a_hundredth(lines):
    assert lines.loc[FREQUENCIES, "mean"] - lines.loc[DAMPED, "mean"] > 0.01
