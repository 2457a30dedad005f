"""What a training step costs with each mixer beside softmax attention: ratios that must hold.

Forward and backward at d = 20, width 128, 6 layers, 4 heads, on tokens in turn, float32, one thread, CPU seconds, the
two sides in turn. At N = 1000 the mixers that are linear in N must win.
Run with ``pytest benchmarks/test_mixers.py -n 0 -s`` to see the table.
"""

from statistics import median

import pytest
import torch
from hugging_face import seconds_of

from iclab.models import Architecture, Transformer
from iclab.models.mixers import ATTENTION, MIXERS

RECURRENT = tuple(kind for kind in MIXERS if kind not in ATTENTION)
MOST_RATIO = dict.fromkeys(RECURRENT, 3.0) | {"lstm": 6.0, "mesa": 6.0}


def step_of(kind, n_train, batch, layers=6):
    architecture = Architecture(
        dimension=20, max_points=n_train + 1, width=128, layers=layers, heads=4, mixers=(kind,), positions="none"
    )
    model = Transformer(architecture)
    parameters = list(model.parameters())
    generator = torch.Generator().manual_seed(0)
    xs = torch.randn(batch, n_train + 1, 20, generator=generator)
    ys = torch.randn(batch, n_train + 1, generator=generator)
    return lambda: torch.autograd.grad((model(xs, ys) - ys).square().mean(), parameters)


def ratios(n_train, batch, rounds):
    steps = {kind: step_of(kind, n_train, batch) for kind in ("softmax", *RECURRENT)}
    spent = {kind: [] for kind in steps}
    for round_ in range(rounds + 1):
        for kind, step in steps.items():
            seconds = seconds_of(step)
            if round_:  # the first plans kernels and memory
                spent[kind].append(seconds)
    typical = {kind: median(seconds) for kind, seconds in spent.items()}
    for kind, seconds in typical.items():
        print(f"N={n_train} {kind}: {1e3 * seconds:.0f} ms, {seconds / typical['softmax']:.2f} of softmax")
    return {kind: seconds / typical["softmax"] for kind, seconds in typical.items() if kind != "softmax"}


def test_a_step_at_100_examples_costs_little_more_than_with_softmax():
    found = ratios(100, 16, 3)
    assert {kind: ratio for kind, ratio in found.items() if ratio > MOST_RATIO[kind]} == {}


def test_a_step_at_1000_examples_costs_less_than_with_softmax():
    found = ratios(1000, 4, 1)
    assert {kind: ratio for kind, ratio in found.items() if ratio >= 1} == {}


@pytest.mark.parametrize("kind", RECURRENT)
def test_cost_grows_linearly(kind):
    """Five times the examples, at most 7.5 times the time: a square would take 25."""
    short, long = step_of(kind, 200, 2, 1), step_of(kind, 1000, 2, 1)
    short(), long()
    one, five = (median(seconds_of(step) for _ in range(3)) for step in (short, long))
    print(f"{kind}: {five / one:.1f} times")
    assert five <= 7.5 * one
