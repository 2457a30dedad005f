"""What is clamped is so in every forward pass of a training, and what acts only through it is not moved."""

import pytest
import torch

from iclab.foundations import InvalidInputError
from iclab.inspect import clamp
from iclab.training import Clamp, Run, read_config, train
from iclab.training.logs import scalars


@pytest.fixture
def config(config):
    return config.with_(steps=12, evaluate_every=6)


HEAD = {"activation": "blocks.1.attention.mixed", "head": 1, "to": 0.0}


def weights(run):
    return run.predictor().model.state_dict()


def test_a_head_that_is_held_at_zero_is_not_trained(config, tmp_path):
    held = read_config(config.as_dict(), {"clamp": [HEAD], "checkpoints": [1, 12]})
    run = train(held, tmp_path / "held")
    start, *_, end = (each.predictor().model.blocks[1].attention for each in run.checkpoints())
    size = start.out.weight.shape[1] // start.heads
    assert torch.equal(start.out.weight[:, size:], end.out.weight[:, size:])
    assert not torch.equal(start.out.weight[:, :size], end.out.weight[:, :size])
    assert Run.open(tmp_path / "held").config.clamp == (Clamp(**HEAD),)


def test_it_is_the_context_of_inspection_and_goes_on_after_an_interruption(config, outcome, tmp_path):
    held = config.with_(clamp=[HEAD])
    whole = outcome(train(held, tmp_path / "whole"))
    with clamp(HEAD["activation"], 0.0, head=1):
        context = train(config, tmp_path / "context")
    weights, lines = outcome(context)
    # What the configuration does not say the metrics and the card do.
    assert all(line["changed"] == [HEAD["activation"]] for line in lines if "loss" in line)
    assert context.card["changed"] == [HEAD["activation"]]
    assert scalars(lines[0]).keys() == scalars({key: lines[0][key] for key in lines[0] if key != "changed"}).keys()
    context.export(tmp_path / "saved")
    Run.open(tmp_path / "whole").export(tmp_path / "stated")
    assert f"`config.yaml` does not tell: `{HEAD['activation']}`." in (tmp_path / "saved" / "README.md").read_text()
    assert f"`{HEAD['activation']}`, head 1." in (tmp_path / "stated" / "README.md").read_text()
    assert Run.open(tmp_path / "whole").card["changed"] == []
    assert (weights, [{key: line[key] for key in line if key != "changed"} for line in lines]) == whole
    train(held, tmp_path / "cut", until=lambda line: True)
    assert outcome(train(held, tmp_path / "cut")) == whole
    free = outcome(train(config, tmp_path / "free"))
    assert free[0] != whole[0]


def test_what_is_not_there_is_said_before_anything_is_written(config, tmp_path):
    for wrong, said in (
        ({**HEAD, "activation": "blocks.1.attention.mixd"}, "attention.mixed"),
        ({**HEAD, "head": 2}, "heads 0 to 1"),
        ({**HEAD, "activation": "blocks.0.mlp.out"}, "no heads"),
    ):
        with pytest.raises(InvalidInputError, match=said):
            train(config.with_(clamp=[wrong]), tmp_path / "run")
        assert not (tmp_path / "run").exists()
    with pytest.raises(InvalidInputError, match="compile must be false"):
        read_config(config.as_dict(), {"clamp": [HEAD], "compile": True})
