"""Where the time of a training step goes, beside what its products would take at this processor's limit.

One thread, CPU seconds by torch's profiler, float32 and the precision that ``auto`` takes here. The limit is the best
rate of a large square product in the same run and precision. ``pytest benchmarks/test_step_parts.py -n 0 -s``.
"""

import pytest
import torch
from hugging_face import config_of, last_batch, seconds_of
from torch.profiler import ProfilerActivity, profile

from iclab.training.distributed import World
from iclab.training.memory import keep_memory
from iclab.training.step import Step, new_state

ROUNDS, SIDE = 3, 768
PRODUCTS, SCORES = ("aten::mm", "aten::addmm"), ("aten::bmm", "aten::baddbmm")
PARTS = {
    "weights' products": PRODUCTS,
    "attention's products": SCORES,
    "norms and softmax": ("layer_norm", "softmax"),
    "GELU": ("gelu",),
}
# Of a step with 6 layers at N = 100, what its products alone would take.
LEAST_SHARE = 0.5


def rate(dtype):
    """Multiply-adds per CPU second of a large product."""
    left, right = torch.ones(SIDE, SIDE, dtype=dtype), torch.ones(SIDE, SIDE, dtype=dtype)
    left @ right
    return SIDE**3 / min(seconds_of(lambda: left @ right) for _ in range(9))


def parts_of(step, batch):
    """CPU seconds of forward and backward by part, of the optimiser, and of what is left of a whole step."""
    tensors = step.tensors(batch)
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True, with_flops=True) as found:
        step.backward(*tensors)
    events = found.key_averages()
    spent = {
        part: sum(e.self_cpu_time_total for e in events if any(name in e.key for name in names)) / 1e6
        for part, names in PARTS.items()
    }
    flops = sum(event.flops for event in events)
    inside = min(seconds_of(lambda: step.backward(*tensors)) for _ in range(ROUNDS))
    update = min(seconds_of(lambda: step.update(0.1)) for _ in range(ROUNDS))
    whole = min(seconds_of(lambda: step(batch)) for _ in range(ROUNDS))
    # The profiler slows what it watches: parts are shares of the step without it.
    kernels = sum(e.self_cpu_time_total for e in events) / 1e6
    spent = {part: seconds * inside / kernels for part, seconds in spent.items()}
    spent["other kernels"] = inside - sum(spent.values())
    return {**spent, "optimiser": update, "host": max(0.0, whole - inside - update)}, whole, flops / 2


@pytest.mark.parametrize("precision", ["auto", "float32"])
@pytest.mark.parametrize(("layers", "n_train"), [(3, 40), (6, 40), (6, 100)])
def test_where_a_step_goes(layers, n_train, precision):
    keep_memory()
    config = config_of(layers, n_train, precision)
    step = Step(config, new_state(config), World())
    batch = last_batch(config)
    step(batch)
    spent, whole, products = parts_of(step, batch)
    best = rate(torch.bfloat16 if config.precision == "bfloat16" else torch.float32)
    limit = products / best
    print(
        f"{layers} layers, N={n_train} {config.precision}: {1e3 * whole:.0f} ms; "
        + ", ".join(f"{part} {1e3 * seconds:.0f}" for part, seconds in spent.items())
        + f"; products alone {1e3 * limit:.0f} ms at {2e-9 * best:.0f} GFLOP/s, {limit / whole:.0%} of the step"
    )
    # Nothing is counted twice or left out.
    assert sum(spent.values()) == pytest.approx(whole, rel=0.25)
    if (layers, n_train) == (6, 100):
        assert limit >= LEAST_SHARE * whole
