"""One training step, ours beside Hugging Face's GPT-2, at N = 40 and 100 (d = 20, batch 64).

Run with ``pytest benchmarks/test_training.py -n 0``; the ratios of one run are what matters.
"""

import pytest
import torch
from transformers import GPT2Config, GPT2Model

from incontext.models import Architecture
from incontext.models.embedding import tokens
from incontext.training import preset
from incontext.training.batches import Batches
from incontext.training.distributed import World
from incontext.training.step import Step, new_state

CASES = [("tiny", 40), ("small", 40), ("tiny", 100)]


def config_of(size, n_train, precision):
    return preset(
        "small", dimension=20, n_train=n_train, steps=1000, model=sizes(size), precision=precision, batch_size=64
    )


def sizes(size):
    architecture = Architecture.gpt2(size, 20, 101)
    return {"width": architecture.width, "layers": architecture.layers, "heads": architecture.heads}


def last_batch(config):
    with Batches(config, World()) as batches:
        return batches.draw(config.steps - 1)


@pytest.mark.parametrize(("size", "n_train"), CASES)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_our_step(benchmark, size, n_train, precision):
    benchmark.group = f"step {size} N={n_train}"
    config = config_of(size, n_train, precision)
    step, batch = Step(config, new_state(config), World()), last_batch(config)
    benchmark.pedantic(step, (batch,), rounds=5, warmup_rounds=2)


@pytest.mark.parametrize(("size", "n_train"), CASES)
def test_hugging_face_step(benchmark, size, n_train):
    benchmark.group = f"step {size} N={n_train}"
    config = config_of(size, n_train, "float32")
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
    )
    gpt2.resid_pdrop = gpt2.embd_pdrop = gpt2.attn_pdrop = 0.0
    model, read_in, read_out = GPT2Model(gpt2), torch.nn.Linear(20, a.width), torch.nn.Linear(a.width, 1)
    parameters = [*model.parameters(), *read_in.parameters(), *read_out.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=1e-4)
    batch = last_batch(config)
    xs, ys, targets = (torch.from_numpy(part).float() for part in (batch.xs, batch.ys, batch.targets))

    def step():
        optimizer.zero_grad()
        hidden = model(inputs_embeds=read_in(tokens("interleaved", xs, ys, None))).last_hidden_state
        (read_out(hidden)[:, ::2, 0] - targets).square().mean().backward()
        optimizer.step()

    benchmark.pedantic(step, rounds=5, warmup_rounds=2)


@pytest.mark.parametrize(("size", "n_train"), CASES)
def test_drawing_a_batch(benchmark, size, n_train):
    """What the host does per step, one step ahead in a thread."""
    benchmark.group = f"batch N={n_train}"
    config = config_of(size, n_train, "float32")
    with Batches(config, World()) as batches:
        benchmark(batches.draw, config.steps - 1)
