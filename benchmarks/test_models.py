"""Shifted queries at 41 positions: one pass with branches beside one pass per position."""

import torch

from incontext.models import Architecture, Transformer, TransformerPredictor
from incontext.prompts import Gaussian, Linear, PromptDistribution, Prompts

MODEL = Transformer(Architecture.gpt2("tiny", 20, 101))


def prompts():
    drawn = PromptDistribution(Gaussian.isotropic(20), Linear()).sample(64, 41, seed=0)
    return Prompts(drawn.xs, drawn.ys, -drawn.xs, -drawn.targets)


def test_query_branches(benchmark):
    benchmark.group = "shifted queries"
    benchmark.pedantic(TransformerPredictor(MODEL), (prompts(),), rounds=3, warmup_rounds=1)


def test_one_pass_per_position(benchmark):
    benchmark.group = "shifted queries"
    given = prompts()
    xs, ys, queries = (torch.from_numpy(part).float() for part in (given.xs, given.ys, given.queries))

    def every_position():
        with torch.no_grad():
            return [MODEL(torch.cat([xs[:, :i], queries[:, i : i + 1]], 1), ys[:, : i + 1])[:, -1] for i in range(41)]

    benchmark.pedantic(every_position, rounds=2, warmup_rounds=1)


def test_unshifted_queries(benchmark):
    benchmark.group = "shifted queries"
    given = prompts()
    plain = Prompts(given.xs, given.ys, given.xs, given.targets)
    benchmark.pedantic(TransformerPredictor(MODEL), (plain,), rounds=3, warmup_rounds=1)
