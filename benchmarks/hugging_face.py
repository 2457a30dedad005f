"""Training steps of Hugging Face's GPT-2 in a process of their own: CPU seconds of one, for every line read.

``python hugging_face.py LAYERS N {eager,sdpa} {default,keep}``: how it attends, and whether it takes the C library's
memory or keeps what is freed, as ours does.
"""

import sys
import time

import torch
from transformers import GPT2Config, GPT2Model

from iclab.models import SIZES
from iclab.models.embedding import tokens
from iclab.training import preset
from iclab.training.batches import Batches
from iclab.training.distributed import World
from iclab.training.memory import keep_memory
from iclab.training.precision import decided


def config_of(layers, n_train, precision, embedding="stacked"):
    """The preset ``columns`` with so many layers, at d = 20; with tokens in turn the same on GPT-2 itself."""
    width, heads = SIZES[layers]
    attention = "softmax" if embedding == "interleaved" else "linear"
    model = {"width": width, "layers": layers, "heads": heads, "embedding": embedding, "attention": attention}
    return decided(preset("columns", dimension=20, n_train=n_train, steps=1000, model=model, precision=precision))


def last_batch(config):
    """The batch of the last step, at full length and dimension."""
    with Batches(config, World()) as batches:
        return batches.draw(config.steps - 1)


def seconds_of(call):
    """CPU seconds of a call."""
    began = time.process_time()
    call()
    return time.process_time() - began


def training_step(config, batch, attention):
    """A step on that batch, in float32, with Adam."""
    a = config.model
    gpt2 = GPT2Config(
        n_positions=202,
        n_embd=a.width,
        n_layer=a.layers,
        n_head=a.heads,
        vocab_size=1,
        bos_token_id=0,
        eos_token_id=0,
        attn_implementation=attention,
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


if __name__ == "__main__":
    torch.set_num_threads(1)
    layers, n_train, attention, memory = sys.argv[1:]
    if memory == "keep":
        keep_memory()
    config = config_of(int(layers), int(n_train), "float32")
    step = training_step(config, last_batch(config), attention)
    for _ in sys.stdin:
        sys.stdout.write(f"{seconds_of(step)}\n")
        sys.stdout.flush()
