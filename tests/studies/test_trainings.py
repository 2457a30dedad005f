"""Models are found for what they are, and trained side by side to the same bits as one after the other."""

import dataclasses
from itertools import product

import pytest

from iclab.foundations import InvalidInputError
from iclab.foundations.seals import sealed_line
from iclab.studies.executors import Here, workplace
from iclab.studies.lab import Lab
from iclab.studies.trainings import SHIPPED, Job, choose, deviations, find, stated, steps_done, train_all, trained
from iclab.training import TrainingDivergedError, preset, train
from iclab.training.metrics import METRICS, read_metrics

SMALL = {"batch_size": 4, "n_evaluation": 4, "model": {"width": 8, "layers": 1}}


def _config(**changes):
    return preset("tiny", **{"dimension": 2, "n_train": 4, "max_points": 7, "steps": 4, **SMALL, **changes})


def test_a_run_is_found_by_its_configuration_whatever_its_name(tmp_path):
    wanted = _config()
    assert find(wanted, tmp_path) is None
    train(_config(n_evaluation=6, log_every=2), tmp_path / "any-name")  # watched otherwise: the same model
    found = find(wanted, tmp_path)
    assert found is not None
    assert found.path == tmp_path / "any-name"
    for other in ({"steps": 5}, {"seed": 1}, {"covariates": "random-exponential"}, {"n_train": 5}):
        assert find(_config(**other), tmp_path) is None


def test_a_model_that_will_do_may_be_optimised_otherwise_but_not_be_another(tmp_path):
    train(_config(steps=3, optimizer={"momentum": 0.5}), tmp_path / "one")
    train(_config(steps=5), tmp_path / "two")
    candidates = stated([str(tmp_path / name) for name in ("one", "two")])
    wanted = _config(max_points=6)
    for order in (candidates, candidates[::-1]):
        found = choose(wanted, order)
        assert found is not None
        assert found.path.name == "two"  # fewer deviations
    assert "steps" in deviations(found, wanted)
    assert not any(key.startswith("optimizer") for key in deviations(found, wanted))
    assert choose(wanted, stated([SHIPPED])) is None  # what lies in the folder of runs, nobody named
    for other in ({"max_points": 8}, {"covariates": "random-exponential"}, {"n_train": 5}, {"model": {"width": 16}}):
        assert choose(_config(**other), candidates) is None
    (tmp_path / "two/checkpoints/5/model.safetensors").write_bytes(b"torn")
    with pytest.raises(InvalidInputError, match="trained to its end"):
        stated([str(tmp_path / "two")])


def test_a_run_that_did_not_finish_is_not_found(tmp_path):
    run = train(_config(), tmp_path / "run")
    (run.directory / "checkpoints" / "4" / "model.safetensors").write_bytes(b"torn")
    assert find(run.config, tmp_path) is None


def test_progress_is_the_last_whole_line_of_long_metrics(tmp_path):
    assert steps_done(tmp_path) == 0
    path = tmp_path / METRICS
    line = {"step": 0, "error": list(range(2_000))}
    path.write_text("".join(sealed_line({**line, "step": step}) + "\n" for step in range(30)))
    assert path.stat().st_size > 2 * 65_536
    assert steps_done(tmp_path) == read_metrics(path)[-1]["step"] == 29
    with path.open("a") as file:
        file.write(sealed_line({**line, "step": 30})[:-1])  # torn
    assert steps_done(tmp_path) == 29


@pytest.fixture(scope="module")
def places():
    """One worker, here, and two processes, which load torch once for all tests."""
    with workplace(2) as two:
        yield {1: Here(), 2: two}


def test_side_by_side_gives_the_bits_of_one_after_the_other(tmp_path, places):
    said = []
    for name, workers in (("one", 1), ("two", 2)):
        jobs = [Job(f"job {seed}", _config(seed=seed), tmp_path / name / str(seed)) for seed in range(3)]
        train_all(jobs, Lab(tmp_path, lambda label, done, total: said.append((label, done, total)), places[workers]))
    for seed in range(3):
        weights = [
            (tmp_path / name / str(seed) / "checkpoints" / "4" / "model.safetensors").read_bytes()
            for name in ("one", "two")
        ]
        assert weights[0] == weights[1]
    assert said[-1][1:] == (12, 12)
    assert trained(jobs[0]).config == jobs[0].config
    train_all(jobs, Lab(tmp_path, lambda *_: pytest.fail("finished trainings must not be done again")))


@pytest.mark.parametrize("workers", [1, 2])
def test_what_a_training_raises_is_raised(tmp_path, workers, places):
    wild = {"kind": "sgd", "learning_rate": 1e9, "clip": None}
    config = _config(optimizer=wild, schedule={"warmup": 0}, steps=20)
    jobs = [Job(str(i), dataclasses.replace(config, seed=i), tmp_path / str(i)) for i in range(2)]
    with pytest.raises(TrainingDivergedError, match="must keep a finite loss"):
        train_all(jobs, Lab(tmp_path, lambda *_: None, places[workers]))


def test_what_ships_is_found_by_its_configuration():
    kinds = {
        "gpt2-columns": {"embedding": "stacked", "attention": "softmax"},
        "gpt2": {"embedding": "interleaved", "attention": "softmax"},
    }
    wishes = [*product(kinds, (40, 70, 100)), ("linear-columns", 40)]
    shipped = stated([SHIPPED])
    for law, (kind, size) in product(("identity", "random-exponential"), wishes):
        wanted = preset("columns", dimension=20, n_train=size, covariates=law, model=kinds.get(kind, {}))
        found = choose(wanted, shipped)
        assert found is not None
        assert found.config.prompts == wanted.prompts
        assert found.origin.endswith(f" {kind}-d20-{law}" + ("" if size == 40 else f"-N{size}"))
        assert choose(wanted.with_(n_train=size - 1), shipped) is None
