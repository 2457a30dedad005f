"""Trainings done at once: each ends where it ends alone, up to rounding, and resumes to the same bits."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from iclab.foundations import InvalidInputError
from iclab.training import TrainingDivergedError, course, preset, train, train_together
from iclab.training.together import gains, likeness

STEPS = 6
MODELS = {
    "softmax": {"attention": "softmax"},
    "linear columns": {"attention": "linear", "embedding": "stacked"},
    "merged": {"attention": "merged", "embedding": "stacked", "layers": 1, "heads": 1, "mlp": False},
    "delta": {"mixers": ["delta"], "positions": "none"},
    "gated delta": {"mixers": ["gated_delta"], "positions": "none"},
    "retention": {"mixers": ["retention"], "positions": "none"},
    "gla": {"mixers": ["gla"], "positions": "none"},
    "mesa": {"mixers": ["mesa"], "positions": "none"},
    "mamba2": {"mixers": ["mamba2"], "positions": "none"},
    "loops": {"layers": 1, "loops": 3},
    "shifted": {"positions": "shifted", "max_points": 9},
}


def _config(model=None, **changes):
    model = {"width": 8, "layers": 2, "heads": 2, **(model or {})}
    return preset(
        "tiny",
        **{"dimension": 2, "n_train": 4, "steps": STEPS, "batch_size": 4, "n_evaluation": 4, "precision": "float64"}
        | changes,
        model=model,
    )


def _weights(run):
    return run.predictor().model.state_dict()


def _distance(a, b):
    return max(float((a[name] - b[name]).abs().max() / a[name].abs().max().clamp(min=1e-3)) for name in a)


def _same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("name", MODELS)
def test_each_ends_where_it_ends_alone(name, tmp_path):
    configs = [_config(MODELS[name], seed=seed) for seed in range(3)]
    together = train_together(configs, [tmp_path / f"together{i}" for i in range(3)])
    for i, (config, run) in enumerate(zip(configs, together, strict=True)):
        alone = train(config, tmp_path / f"alone{i}")
        # Newton-Schulz of Muon amplifies rounding where a singular value is small.
        assert _distance(_weights(alone), _weights(run)) < 1e-7
        np.testing.assert_allclose(alone.losses()["loss"], run.losses()["loss"], rtol=1e-9)
        assert set(run.losses()["together"]) == {3}


@pytest.mark.parametrize(
    "changes",
    [
        {"targets": "labels", "optimizer": {"kind": "adam"}},
        {"loss_at": "query", "optimizer": {"kind": "sgd"}},
        {"model": {"head": "mean_variance"}, "targets": "labels"},
        {
            "prompts": {"covariates": {"kind": "categories", "count": 2}, "tasks": {"kind": "lookup", "n_classes": 3}},
            "model": {"head": "classes", "outputs": 3},
            "targets": "labels",
            "per_dimension": False,
        },
    ],
    ids=["labels", "query", "variances", "classes"],
)
def test_of_any_loss_and_optimiser(changes, tmp_path):
    changes = dict(changes)
    model = changes.pop("model", {})
    configs = [_config(model, **changes, seed=seed) for seed in range(2)]
    runs = train_together(configs, [tmp_path / f"{i}" for i in range(2)])
    for i, (config, run) in enumerate(zip(configs, runs, strict=True)):
        assert _distance(_weights(train(config, tmp_path / f"alone{i}")), _weights(run)) < 1e-7


def test_rates_are_each_trainings_own(tmp_path):
    rates = (1e-3, 4e-3)
    configs = [_config(optimizer={"kind": "sgd", "learning_rate": rate, "clip": None}, steps=1) for rate in rates]
    first = _weights(train(configs[0], tmp_path / "alone"))
    runs = train_together(configs, [tmp_path / "a", tmp_path / "b"])
    start = configs[0].with_(optimizer=replace(configs[0].optimizer, learning_rate=1e-30))
    [begin] = train_together([start], [tmp_path / "begin"])
    moved = [{k: v - _weights(begin)[k] for k, v in _weights(run).items()} for run in runs]
    assert _distance(first, _weights(runs[0])) < 1e-12
    for name, step in moved[0].items():  # a step of descent is linear in its rate
        torch.testing.assert_close(moved[1][name], 4 * step, rtol=1e-9, atol=1e-15)


def test_interrupted_anywhere_they_end_in_the_same_bits(tmp_path, monkeypatch):
    configs = [_config(seed=seed, checkpoint_every=2, log_every=1) for seed in range(3)]
    whole = train_together(configs, [tmp_path / f"whole{i}" for i in range(3)])
    save, saved = course.save_checkpoint, []

    class Killed(BaseException):
        pass

    for death in range(1, 3 * STEPS // 2 + 1):  # before any of the checkpoints, in the middle of a round of them too
        folders = [tmp_path / f"{death}-{i}" for i in range(3)]

        def dying(*arguments, death=death, **named):
            saved.append(1)
            if len(saved) == death:
                raise Killed
            save(*arguments, **named)

        saved.clear()
        monkeypatch.setattr(course, "save_checkpoint", dying)
        with pytest.raises(Killed):
            train_together(configs, folders)
        monkeypatch.setattr(course, "save_checkpoint", save)
        for run, other in zip(whole, train_together(configs, folders), strict=True):
            assert _same(_weights(run), _weights(other))
            assert list(run.losses()["loss"]) == list(other.losses()["loss"])


def test_one_that_goes_astray_does_not_touch_the_others(tmp_path):
    sound = [_config(seed=seed, optimizer={"kind": "sgd", "clip": None}) for seed in range(2)]
    wild = sound[0].with_(optimizer=replace(sound[0].optimizer, learning_rate=1e12))
    folders = [tmp_path / name for name in "abc"]
    first, bad, second = train_together([sound[0], wild, sound[1]], folders)
    assert isinstance(bad, TrainingDivergedError)
    for i, (config, run) in enumerate(zip(sound, (first, second), strict=True)):
        assert run.finished
        assert _distance(_weights(train(config, tmp_path / f"alone{i}")), _weights(run)) < 1e-9
    again = train_together([sound[0], wild, sound[1]], folders)
    assert [isinstance(each, TrainingDivergedError) for each in again] == [False, True, False]


def test_what_is_done_at_once():
    config = _config()
    assert likeness(config) == likeness(_config(seed=3)) == likeness(_config(optimizer={"learning_rate": 1.0}))
    assert likeness(config) != likeness(_config(n_train=5))
    assert likeness(_config({"mixers": ["lstm"], "positions": "none"})) is None
    assert gains(config)
    assert not gains(_config(batch_size=4096))


@pytest.mark.parametrize("others", [{"n_train": 5}, {"model": {"mixers": ["lstm"], "positions": "none"}}])
def test_what_is_not_alike_is_refused(others, tmp_path):
    with pytest.raises(InvalidInputError, match="one by one"):
        train_together([_config(), _config(**others)], [tmp_path / "a", tmp_path / "b"])
