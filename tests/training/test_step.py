"""A step is forward, backward, clip and update; graphs of it and its events change nothing of that."""

import pytest
import torch

import iclab.training.cuda_graphs as cuda_graphs
from iclab.training import preset, read_config
from iclab.training.batches import Batches
from iclab.training.course import Due, due_after
from iclab.training.cuda_graphs import GraphedStep, step_of
from iclab.training.distributed import World
from iclab.training.precision import decided
from iclab.training.step import Step, new_state

OPTIMIZERS = [
    {"kind": "muon"},
    {"kind": "adamw", "weight_decay": 0.1},
    {"kind": "adam", "clip": None},
    {"kind": "sgd", "learning_rate": 0.1},
]


def configuration(**changes):
    changes = {"precision": "float64", "steps": 12, "batch_size": 8, "model": {"width": 16, "layers": 1}, **changes}
    return decided(preset("tiny", dimension=3, n_train=6, device="cpu", **changes))


def trained(step, state, config):
    """The weights after all steps."""
    with Batches(config, World()) as batches:
        for batch in batches:
            step(batch)
    return torch.nn.utils.parameters_to_vector(state.model.parameters()).detach()


def by_hand(config):
    """The same training as anybody would write it: zero_grad, forward, backward, clip, step."""
    state = new_state(config)
    parameters = list(state.model.parameters())
    with Batches(config, World()) as batches:
        for i, batch in enumerate(batches):
            xs, ys, targets = (torch.from_numpy(array) for array in (batch.xs, batch.ys, batch.targets))
            for parameter in parameters:
                parameter.grad = None
            loss = (state.model(xs, ys) - targets).square().mean()
            (loss / batch.stage.dimensions if config.per_dimension else loss).backward()
            if config.optimizer.clip is not None:
                torch.nn.utils.clip_grad_norm_(parameters, config.optimizer.clip)
            for name, optimizer in state.optimizers.items():
                for group in optimizer.param_groups:
                    group["lr"] = config.optimizer.options(name)["lr"] * config.schedule.at(i, config.steps)
                optimizer.step()
    return torch.nn.utils.parameters_to_vector(parameters).detach()


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda optimizer: optimizer["kind"])
def test_a_step_is_the_one_that_anybody_would_write(optimizer):
    config = configuration(optimizer=optimizer)
    state = new_state(config)
    step = step_of(config, state, World())
    assert type(step) is Step  # no GPU here
    torch.testing.assert_close(trained(step, state, config), by_hand(config), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda optimizer: optimizer["kind"])
def test_a_share_of_the_update_at_the_peak_rate_is_the_update_at_that_share(optimizer, monkeypatch):
    """What graphs need, for warm-up, decay and a ramp of the rate; without a GPU their functions are called plainly."""
    monkeypatch.setattr(cuda_graphs, "Graphed", lambda function: function)
    ramp = {"start": 0.1, "end": 0.05, "increment": 0.01, "every": 3}
    config = configuration(optimizer=optimizer, schedule={"warmup": 3, "decay": 0.5})
    config = read_config(config.as_dict(), {"curriculum.fields": {"optimizer.learning_rate": ramp}})
    plain, graphed = new_state(config), new_state(config)
    expected = trained(Step(config, plain, World()), plain, config)
    torch.testing.assert_close(
        trained(GraphedStep(config, graphed, World()), graphed, config), expected, rtol=1e-9, atol=1e-9
    )


def test_everything_is_due_at_the_end_and_each_at_its_interval():
    config = configuration(steps=40, log_every=4, evaluate_every=6, checkpoint_every=10)
    for step in range(1, 41):
        due = due_after(step, config)
        for kind, interval in ((Due.LOSS, 4), (Due.EVALUATION, 6), (Due.CHECKPOINT, 10)):
            assert (kind in due) == (step % interval == 0 or step == 40)
