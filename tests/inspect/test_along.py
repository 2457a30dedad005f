"""One measure at every checkpoint of a run: the same table whoever computes it, and as if asked one by one."""

import pandas as pd
import pytest

from iclab.evaluation import error_curve
from iclab.foundations import InvalidInputError
from iclab.inspect.along import MEASURES
from iclab.predictors import LeastSquares, Zero
from iclab.studies.along import along
from iclab.training import Series, preset, train


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    config = preset(
        "tiny",
        dimension=2,
        n_train=4,
        covariates="random-exponential",
        steps=12,
        batch_size=8,
        n_evaluation=4,
        model={"width": 16, "layers": 2},
        checkpoints=Series(count=4),
    )
    return train(config, tmp_path_factory.mktemp("run") / "run")


def test_a_table_is_that_of_every_checkpoint_asked_alone(run):
    table = along(run, n_prompts=32, seed=3, references={"zero": Zero()})
    assert table["step"].unique().tolist() == [each.step for each in run.checkpoints()] == [0, 1, 3, 12]
    law = run.config.prompts.build()
    for each in run.checkpoints():
        curve = error_curve(each.predictor(), law, 5, n_prompts=32, seed=3)
        own = table[(table["step"] == each.step) & (table["predictor"] == "model")]
        assert (own["mean"].to_numpy() == curve.mean).all()
        assert (own["stderr"].to_numpy() == curve.stderr).all()


@pytest.mark.slow
def test_it_is_the_same_from_processes(run, tmp_path):
    alone = along(run, n_prompts=16, directory=tmp_path / "alone")
    pd.testing.assert_frame_equal(along(run, n_prompts=16, workers=2, directory=tmp_path / "two"), alone)


def test_nothing_is_computed_twice(run, tmp_path, monkeypatch):
    table = along(run, n_prompts=16, directory=tmp_path)
    monkeypatch.setattr("iclab.training.Checkpoint.predictor", lambda self: pytest.fail("computed again"))
    pd.testing.assert_frame_equal(along(run, n_prompts=16, directory=tmp_path), table)
    with pytest.raises(pytest.fail.Exception):
        along(run, n_prompts=17, directory=tmp_path)


@pytest.mark.parametrize("name", sorted(MEASURES))
def test_every_measure_has_a_row_per_step(run, name, tmp_path):
    more = {"memorising": Zero(), "generalising": LeastSquares()} if name == "strategy" else {}
    table = along(run, name, n_prompts=40, directory=tmp_path, **more)
    assert table.columns[0] == "step"
    assert sorted(table["step"].unique()) == [0, 1, 3, 12]
    assert len(set(table["step"].value_counts())) == 1


def size(predictor, distributions, n_points, *, n_prompts, seed, power=1):
    """A measure of one's own."""
    return pd.DataFrame({"size": [sum(float(p.detach().abs().sum()) ** power for p in predictor.model.parameters())]})


def test_a_measure_of_ones_own_may_be_given(run, tmp_path):
    import tests.inspect.test_along as here

    table = along(run, here.size, directory=tmp_path, power=2)
    assert len(table) == 4
    assert (table["size"] > 0).all()
    with pytest.raises(InvalidInputError, match="must be one of"):
        along(run, "eror")
    with pytest.raises(InvalidInputError, match="must be found by its name"):
        along(run, lambda *given, **more: pd.DataFrame())


def test_a_run_without_checkpoints_says_how_to_keep_them(tmp_path):
    config = preset("tiny", dimension=2, n_train=2, steps=1, batch_size=2, n_evaluation=2, model={"width": 16})
    with pytest.raises(InvalidInputError, match=r"spacing: log"):
        along(train(config, tmp_path))
