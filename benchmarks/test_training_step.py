"""How a training step compares with Hugging Face's GPT-2, and what of it the host does: ratios that must hold.

Each side runs as its users run it, in a process of its own: ours keeps freed memory, as ``iclab train`` does,
theirs has the C library's defaults. The two alternate, one thread each, and CPU seconds are compared by their medians,
so that a busy machine slows both alike. The bars are against eager attention. With ours' memory on both sides, or
theirs with torch's scaled_dot_product_attention (sdpa), the ratios are lower; they are printed beside.
Run with ``pytest benchmarks/test_training_step.py -n 0 -s`` to see the table. The bars hold on processors with and
without instructions for bfloat16; with ``ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2`` one that has them stands
for one that has not.
"""

import subprocess
import sys
import time
from contextlib import contextmanager
from statistics import median

import hugging_face
import pytest
import torch
from hugging_face import config_of, last_batch, seconds_of

from iclab.training.batches import Batches
from iclab.training.distributed import World
from iclab.training.memory import keep_memory
from iclab.training.step import Step, new_state

ROUNDS = 7
# Hugging Face's GPT-2 in float32, by its attention and its memory.
EAGER, KEEPING, SDPA = "theirs, eager", "theirs, eager, keeping memory", "theirs, sdpa"
# By the preset `columns`: in the precision that `auto` takes here, and in float32. Both sides read the same prompts,
# theirs as tokens in turn, ours as columns of x and y: as many tokens, of which half are queries that no other token
# sees, and attention is linear. Ours on tokens in turn, with softmax, is GPT-2 itself and timed as well.
LEAST_RATIO = {"bfloat16": 2.4, "float32": 1.4}
# Drawing a batch takes 2 to 4 ms, however short the step: 6 % of one of 53 ms.
MOST_HOST_SHARE = 0.08


@contextmanager
def their_step(layers, n_train, attention, memory):
    """A call that takes one step of theirs and returns its CPU seconds."""
    command = [sys.executable, hugging_face.__file__, str(layers), str(n_train), attention, memory]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def take():
            process.stdin.write("step\n")
            process.stdin.flush()
            return float(process.stdout.readline())

        yield take
        process.stdin.close()


@pytest.mark.parametrize("n_train", [40, 100])
@pytest.mark.parametrize("layers", [3, 6])
def test_a_step_is_faster_than_hugging_faces(layers, n_train):
    keep_memory()
    takes = {}
    for embedding, label in (("stacked", ""), ("interleaved", ", tokens in turn")):
        for precision in ("auto", "float32"):
            config = config_of(layers, n_train, precision, embedding)
            batch = last_batch(config)
            step = Step(config, new_state(config), World())
            takes[config.precision + label] = lambda step=step, batch=batch: seconds_of(lambda: step(batch))
    with (
        their_step(layers, n_train, "eager", "default") as takes[EAGER],
        their_step(layers, n_train, "eager", "keep") as takes[KEEPING],
        their_step(layers, n_train, "sdpa", "default") as takes[SDPA],
    ):
        for take in takes.values():
            take()
        spent = {name: [] for name in takes}
        for _ in range(ROUNDS):
            for name, take in takes.items():
                spent[name].append(take())
    typical = {name: median(values) for name, values in spent.items()}
    theirs = (EAGER, KEEPING, SDPA)
    print(f"{layers} layers, N={n_train}: " + ", ".join(f"{name} {1e3 * typical[name]:.0f} ms" for name in theirs))
    ratios = {name: typical[EAGER] / typical[name] for name in takes if name not in theirs}
    for name in ratios:
        against = ", ".join(f"{typical[peer] / typical[name]:.2f}" for peer in theirs)
        print(f"  {name} {1e3 * typical[name]:.0f} ms: {against} times faster")
    for name, least in LEAST_RATIO.items():
        assert ratios.get(name, least) >= least, (name, ratios)


@pytest.mark.parametrize("n_train", [40, 100])
@pytest.mark.parametrize("precision", ["auto", "float32"])
@pytest.mark.parametrize("layers", [3, 6])
def test_the_host_takes_little_of_a_step(layers, n_train, precision, monkeypatch):
    """Of the CPU seconds of a training's step, what neither forward, nor backward, nor the optimiser takes.

    That is drawing the batch with its targets, and what ``Step`` does around them: conversion, loss, bookkeeping.
    Clipping is the optimiser's.
    """
    config = config_of(layers, n_train, precision)
    state = new_state(config)
    step = Step(config, state, World())
    inside = 0.0

    def counted(function):
        def call(*given, **named):
            nonlocal inside
            began = time.process_time()
            result = function(*given, **named)
            inside += time.process_time() - began
            return result

        return call

    monkeypatch.setattr(step, "_forward", counted(step._forward))
    monkeypatch.setattr(torch.autograd, "grad", counted(torch.autograd.grad))
    for optimizer in state.optimizers.values():
        monkeypatch.setattr(optimizer, "step", counted(optimizer.step))
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", counted(torch.nn.utils.clip_grad_norm_))
    with Batches(config, World()) as batches:
        step(batches.draw(config.steps - 1))
        inside, shares = 0.0, []
        for _ in range(ROUNDS):
            inside = 0.0
            whole = seconds_of(lambda: step(batches.draw(config.steps - 1)))
            shares.append(1 - inside / whole)
    share = median(shares)
    print(f"{layers} layers, N={n_train} {precision}: the host takes {share:.1%} of a step")
    assert share < MOST_HOST_SHARE
