"""Variants of the preset ``columns`` at d = 10 on 64,000 prompts, one training each: "More variants" of docs/speed.md.

``python benchmarks/recipes.py`` trains all of them (some 30 CPU seconds each with bfloat16), with names only those.
SOAP and schedule-free AdamW need ``pip install pytorch_optimizer schedulefree``.
"""

import copy
import sys
import time
from collections.abc import Callable, Iterator

import torch

from iclab.evaluation import error_curve
from iclab.models import TransformerPredictor
from iclab.models.transformer import Transformer
from iclab.prompts import Gaussian, Linear, PromptDistribution
from iclab.training import TrainingConfig, preset
from iclab.training.batches import Batches
from iclab.training.checkpoint import State
from iclab.training.continuing import grown
from iclab.training.distributed import World
from iclab.training.memory import keep_memory
from iclab.training.precision import decided
from iclab.training.step import Step, new_state

D, N = 10, 20
PROMPTS, SEED = 2000, 99
CONSTANT = {"decay": 0.0}
LATER = {"fields": {"batch_size": {"start": 64, "end": 256, "increment": 192, "every": 1, "begin": 500}}}
# A model, and the CPU seconds that its training took.
Trained = tuple[Transformer, float]


def config(steps: int = 1000, layers: int = 3, width: int = 64, loops: int = 1, **changes: object) -> TrainingConfig:
    model = {"layers": layers, "width": width, "loops": loops, "heads": 2}
    sizes = {"dimension": D, "n_train": N, "max_points": N + 1, "steps": steps, "precision": "bfloat16"}
    return decided(preset("columns", **sizes, model=model, **changes))


def fit(given: TrainingConfig, state: State | None = None, after: Callable[[int, Transformer], None] | None = None):
    """A training without files, logs and evaluations."""
    state = state or new_state(given)
    step, began = Step(given, state, World()), time.process_time()
    with Batches(given, World()) as batches:
        for i in range(given.steps):
            step(batches.draw(i))
            if after is not None:
                after(i + 1, state.model)
    return state.model, time.process_time() - began


def averaged(given: TrainingConfig, last: int) -> Trained:
    """The mean of every tenth state of the weights in the last steps."""
    kept: list[Transformer] = []

    def keep(step: int, model: Transformer) -> None:
        if step > given.steps - last and step % 10 == 0:
            kept.append(copy.deepcopy(model))

    model, seconds = fit(given, after=keep)
    with torch.no_grad():
        for weights, *all_ in zip(model.parameters(), *(each.parameters() for each in kept), strict=True):
            weights.copy_(torch.stack(all_).mean(0))
    return model, seconds


def schedule_free(rate: float) -> Trained:
    from schedulefree import AdamWScheduleFree

    given = config(schedule=CONSTANT, optimizer={"kind": "adamw", "learning_rate": rate, "betas": (0.95, 0.99)})
    state = new_state(given)
    optimizer = AdamWScheduleFree(state.model.parameters(), lr=rate, betas=(0.95, 0.99))
    optimizer.train()
    state.optimizers = {"adamw": optimizer}
    trained = fit(given, state)
    optimizer.eval()
    return trained


def soap(rate: float) -> Trained:
    """SOAP on the matrices that Muon would have."""
    from pytorch_optimizer import SOAP

    class WithoutMomentum(SOAP):
        def step(self, closure=None):
            for group in self.param_groups:
                group.pop("momentum", None)  # Muon's, which a step sets
            return super().step(closure)

    given = config(optimizer={"kind": "muon", "learning_rate": 2e-3, "matrix_learning_rate": rate})
    state = new_state(given)
    matrices = [weights for group in state.optimizers["muon"].param_groups for weights in group["params"]]
    state.optimizers["muon"] = WithoutMomentum(matrices, lr=rate, weight_decay=0.0)
    return fit(given, state)


def grown_in_depth() -> Trained:
    small, first = fit(config(500, schedule=CONSTANT))
    given = config(400, layers=6, schedule={"decay": 1.0, "warmup": 40})
    state = new_state(given)
    state.model.load_state_dict(grown(small.state_dict(), 3, state.model.state_dict(), 6))
    model, second = fit(given, state)
    return model, first + second


VARIANTS: dict[str, Callable[[], Trained]] = {
    "columns": lambda: fit(config()),
    "averaged": lambda: averaged(config(), 100),
    "constant": lambda: fit(config(schedule=CONSTANT)),
    "constant, averaged": lambda: averaged(config(schedule=CONSTANT), 200),
    "constant, larger late batches": lambda: fit(config(625, schedule=CONSTANT, curriculum=LATER)),
    "larger late batches": lambda: fit(config(625, curriculum=LATER)),
    "AdamW": lambda: fit(config(optimizer={"kind": "adamw", "learning_rate": 3e-3})),
    "schedule-free, .003": lambda: schedule_free(3e-3),
    "schedule-free, .01": lambda: schedule_free(1e-2),
    "SOAP, .001": lambda: soap(1e-3),
    "SOAP, .003": lambda: soap(3e-3),
    "grown": grown_in_depth,
    "6 layers": lambda: fit(config(650, layers=6)),
    "looped": lambda: fit(config(650, loops=2)),
    "2 layers of width 96": lambda: fit(config(layers=2, width=96)),
}


def rows(names: list[str]) -> Iterator[str]:
    law = PromptDistribution(Gaussian.isotropic(D), Linear())
    for name in names:
        model, seconds = VARIANTS[name]()
        curve = error_curve(TransformerPredictor(model), law, N + 1, n_prompts=PROMPTS, seed=SEED)
        errors = [f"{curve.mean[i] / D:.4f} ± {curve.stderr[i] / D:.4f}" for i in (D, N)]
        yield f"{name:30s} {errors[0]:18s} {errors[1]:18s} {seconds:4.0f} s"


if __name__ == "__main__":
    torch.set_num_threads(1)
    keep_memory()
    for row in rows(sys.argv[1:] or list(VARIANTS)):
        print(row, flush=True)
