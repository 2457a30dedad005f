"""Errors of models on the line between two shipped models' weights, the shallower one grown by layers that add nothing.

``python benchmarks/between.py linear-columns-d20-mixture linear-columns-d20-mixture-deep 0 .5 .8 .9 .95 1`` prints the
table of docs/speed.md: error / d at d examples under ``standard`` and ``noisyLR``, ± standard errors, 1,280 prompts.
"""

import sys

import torch

from iclab.evaluation import error_curve
from iclab.models import TransformerPredictor, load
from iclab.models.transformer import Transformer
from iclab.prompts import Gaussian, Linear, PromptDistribution, shift
from iclab.training.continuing import grown

PROMPTS, SEED = 1280, 0


def main(first: str, second: str, *shares: str) -> None:
    from_, to = load(first).model, load(second).model
    ends = to.state_dict()
    start = grown(from_.state_dict(), from_.architecture.layers, ends, to.architecture.layers)
    d = to.architecture.dimension
    law = PromptDistribution(Gaussian.isotropic(d), Linear())
    model = Transformer(to.architecture, seed=None)
    for share in map(float, shares):
        model.load_state_dict({key: share * ends[key] + (1 - share) * start[key] for key in start})
        curves = {
            name: error_curve(
                TransformerPredictor(model), shift(name).apply(law), 2 * d + 1, n_prompts=PROMPTS, seed=SEED
            )
            for name in ("standard", "noisyLR")
        }
        told = (f"{name} {curve.mean[d] / d:.4f} ± {curve.stderr[d] / d:.4f}" for name, curve in curves.items())
        print(f"{share:g}: {', '.join(told)}", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(*sys.argv[1:])
