"""How a training step compares with Hugging Face's GPT-2, and what of it the host does: ratios that must hold.

Our step and theirs alternate in one process on one thread, with the same allocator, and CPU seconds are compared by
their medians, so that a busy machine slows both alike.
Run with ``pytest benchmarks/test_training_step.py -n 0 -s`` to see the table.
"""

import time
from statistics import median

import pytest
import torch
from transformers import GPT2Config, GPT2Model

from incontext.models import SIZES
from incontext.models.embedding import tokens
from incontext.training import preset
from incontext.training.batches import Batches
from incontext.training.distributed import World
from incontext.training.memory import keep_memory
from incontext.training.step import Step, new_state

ROUNDS = 7
# By default settings (bfloat16 products under autocast), and in float32.
LEAST_RATIO = {"bfloat16": 2.4, "float32": 1.4}
MOST_HOST_SHARE = 0.05


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def config_of(size, n_train, precision):
    width, layers, heads = SIZES[size]
    model = {"width": width, "layers": layers, "heads": heads}
    return preset("small", dimension=20, n_train=n_train, steps=1000, model=model, precision=precision)


def last_batch(config):
    with Batches(config, World()) as batches:
        return batches.draw(config.steps - 1)


def hugging_face_step(config, batch):
    a = config.model
    gpt2 = GPT2Config(
        n_positions=202,
        n_embd=a.width,
        n_layer=a.layers,
        n_head=a.heads,
        vocab_size=1,
        bos_token_id=0,
        eos_token_id=0,
        attn_implementation="eager",
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
    )
    model, read_in, read_out = GPT2Model(gpt2), torch.nn.Linear(20, a.width), torch.nn.Linear(a.width, 1)
    optimizer = torch.optim.Adam([*model.parameters(), *read_in.parameters(), *read_out.parameters()], lr=1e-4)
    xs, ys, targets = (torch.from_numpy(part).float() for part in (batch.xs, batch.ys, batch.targets))

    def step():
        optimizer.zero_grad()
        hidden = model(inputs_embeds=read_in(tokens("interleaved", xs, ys, None))).last_hidden_state
        (read_out(hidden)[:, ::2, 0] - targets).square().mean().backward()
        optimizer.step()

    return step


def seconds_of(call):
    began = time.process_time()
    call()
    return time.process_time() - began


@pytest.mark.parametrize("n_train", [40, 100])
@pytest.mark.parametrize("size", ["tiny", "small"])
def test_a_step_is_faster_than_hugging_faces(size, n_train):
    keep_memory()
    calls = {}
    for precision in LEAST_RATIO:
        config = config_of(size, n_train, precision)
        batch = last_batch(config)
        step = Step(config, new_state(config), World())
        calls[precision] = lambda step=step, batch=batch: step(batch)
    calls["theirs"] = hugging_face_step(config, batch)
    for call in calls.values():
        call()
    spent = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            spent[name].append(seconds_of(call))
    typical = {name: median(values) for name, values in spent.items()}
    ratios = {name: typical["theirs"] / typical[name] for name in LEAST_RATIO}
    print(
        f"{size} N={n_train}: Hugging Face eager float32 {1e3 * typical['theirs']:.0f} ms; "
        + "; ".join(f"{name} {1e3 * typical[name]:.0f} ms, {ratio:.2f} times faster" for name, ratio in ratios.items())
    )
    for name, least in LEAST_RATIO.items():
        assert ratios[name] >= least, (name, ratios)


@pytest.mark.parametrize("n_train", [40, 100])
@pytest.mark.parametrize("precision", LEAST_RATIO)
@pytest.mark.parametrize("size", ["tiny", "small"])
def test_the_host_takes_little_of_a_step(size, n_train, precision, monkeypatch):
    """Of the CPU seconds of a training's step, what neither forward, nor backward, nor the optimiser takes.

    That is drawing the batch with its targets, and what ``Step`` does around them: conversion, loss, bookkeeping.
    Clipping and clearing gradients are the optimiser's.
    """
    config = config_of(size, n_train, precision)
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
    monkeypatch.setattr(torch.Tensor, "backward", counted(torch.Tensor.backward))
    for optimizer in state.optimizers.values():
        monkeypatch.setattr(optimizer, "step", counted(optimizer.step))
        monkeypatch.setattr(optimizer, "zero_grad", counted(optimizer.zero_grad))
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", counted(torch.nn.utils.clip_grad_norm_))
    with Batches(config, World()) as batches:
        step(batches.draw(config.steps - 1))
        inside, shares = 0.0, []
        for _ in range(ROUNDS):
            inside = 0.0
            whole = seconds_of(lambda: step(batches.draw(config.steps - 1)))
            shares.append(1 - inside / whole)
    share = median(shares)
    print(f"{size} N={n_train} {precision}: the host takes {share:.1%} of a step")
    assert share < MOST_HOST_SHARE
