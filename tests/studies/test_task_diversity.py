"""Task diversity: thresholds of known tables, and the lines of exact predictors."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from iclab.evaluation import error_curve
from iclab.predictors import Ridge
from iclab.prompts import Gaussian, Linear, PromptDistribution
from iclab.studies.study import Verdict
from iclab.studies.task_diversity import questions
from iclab.studies.task_diversity.lines import EXCESS, FRESH, POOL, bayes_lines
from iclab.studies.task_diversity.models import CONSTANT, FAST_CONSTANT, LABELS, POSTERIOR
from iclab.studies.task_diversity.thresholds import crossings, thresholds

TASKS = (2, 4, 8, 16)


def models(places, recipe=LABELS, **columns):
    """One row per M, for each seed's relative distances."""
    rows = [
        {"recipe": recipe, "tasks": tasks, "training_seed": seed, "n_tasks": count, "relative": place}
        for tasks in (FRESH, POOL)
        for seed, own in enumerate(places)
        for count, place in zip(TASKS, own, strict=True)
    ]
    return pd.DataFrame(rows).assign(**{"relative_stderr": 0.01, "error": 0.4, "stderr": 0.01, "dmmse": 0.5, **columns})


def test_a_crossing_is_where_the_line_through_its_neighbours_is_half():
    found = crossings(models([(1.0, 0.8, 0.3, 0.0), (0.9, 0.4, 0.6, 0.1), (0.4, 0.3, 0.2, 0.1), (1.0, 0.9, 0.8, 0.6)]))
    fresh = found[found["tasks"] == FRESH]
    np.testing.assert_allclose(fresh["log2_tasks"], [2.6, 3.2, np.nan, np.nan])
    assert fresh["beyond"].tolist() == [False, False, False, True]


def test_thresholds_have_students_interval_of_the_logarithm():
    logs = np.array([2.6, 2.5, 2.9])
    places = [(1.0, 1.0, 1.0 - 0.5 / (own - 2), 0.0) for own in logs]
    found = thresholds(crossings(models(places)))
    row = found[found["tasks"] == POOL].iloc[0]
    reach = t.ppf(0.975, 2) * logs.std(ddof=1) / np.sqrt(3)
    np.testing.assert_allclose(np.log2(row["threshold"]), logs.mean())
    np.testing.assert_allclose(
        np.log2([row["threshold_low"], row["threshold_high"]]), [logs.mean() - reach, logs.mean() + reach]
    )
    # Where one seed never crosses there is no mean.
    found = thresholds(crossings(models([*places, (0.4, 0.3, 0.2, 0.1)])))
    assert found["threshold"].isna().all()


def test_whoever_remembers_one_task_knows_it():
    lines = bayes_lines(2, 4, 0.5, 1, (0, 1), 200, 0).set_index(["tasks", "quantity"])["mean"]
    assert lines[POOL, "dMMSE"] == pytest.approx(0, abs=1e-20)
    assert lines[POOL, "distance"] == pytest.approx(lines[POOL, "ridge"], rel=1e-12)
    assert lines[FRESH, "dMMSE"] > lines[FRESH, "ridge"]
    assert lines[FRESH, EXCESS] == pytest.approx(lines[FRESH, "dMMSE"] - lines[FRESH, "ridge"], rel=1e-12)


def test_how_much_worse_bayes_for_the_pool_is():
    """Of a difference of paired errors: the ratio less 1, with the errors of numerator and denominator."""
    rows = [
        (2**14, EXCESS, 0.12, 0.01),
        (2**14, "ridge", 0.4, 0.02),
        (2**15, EXCESS, 0.02, 0.01),
        (2**15, "ridge", 0.4, 0),
    ]
    table = pd.DataFrame(rows, columns=["n_tasks", "quantity", "mean", "stderr"])
    answer = questions.reported({"lines": table.assign(setting="published", tasks=FRESH, pools=8, n=800)})
    assert (answer.met, answer.missed, answer.undecided) == (1, 1, 0)
    found = answer.numbers[f"M = {2**14}"]
    assert found.value == pytest.approx(1.3)
    assert found.stderr == pytest.approx(np.hypot(0.01 / 0.4, 0.3 * 0.02 / 0.4))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "dmmse", "ridge", "distance"),
    [
        (2**4, (1.079, 0.114), (0.346, 0.350), (0.735, 0.235)),
        (2**6, (0.862, 0.147), (0.346, 0.322), (0.516, 0.178)),
        (2**10, (0.612, 0.229), (0.346, 0.351), (0.268, 0.122)),
        (2**14, (0.457, 0.280), (0.346, 0.343), (0.114, 0.065)),
        (2**15, (0.434, 0.287), (0.346, 0.341), (0.089, 0.054)),
    ],
)
def test_lines_at_the_published_setting(size, dmmse, ridge, distance):
    """Independent numbers of one pool each, with standard errors of about .003; ours are means of several pools."""
    # Large pools are alike, and cost more.
    pools, n_prompts = (8, 2000) if size <= 2**10 else (4, 600)
    lines = bayes_lines(8, 16, 0.5, size, tuple(range(pools)), n_prompts, 0).set_index(["tasks", "quantity"])
    for quantity, values in (("dMMSE", dmmse), ("ridge", ridge), ("distance", distance)):
        for tasks, value in zip((FRESH, POOL), values, strict=True):
            mean, stderr = lines.loc[(tasks, quantity), ["mean", "stderr"]]
            # One pool is about √8 standard errors of the mean from it.
            assert abs(mean - value) < 3.5 * np.hypot(stderr * 3, 0.003), (tasks, quantity, mean, stderr)


def test_the_last_position_of_ridge_at_the_published_setting():
    """σ² E tr (X'X + σ²I)⁻¹/d after 15 examples; independent code printed .0373, from samples of prompts."""
    xs = np.random.default_rng(0).standard_normal((20_000, 15, 8))
    risks = 0.25 * np.trace(np.linalg.inv(xs.mT @ xs + 0.25 * np.eye(8)), axis1=1, axis2=2) / 8
    assert risks.mean() == pytest.approx(0.0373, abs=0.001)
    law = PromptDistribution(Gaussian.isotropic(8), Linear(), 0.5)
    curve = error_curve(Ridge.bayes(0.5), law, 16, n_prompts=4000, seed=0)
    assert abs(curve.mean[15] / 8 - risks.mean()) < 4 * curve.stderr[15] / 8


def test_models_change_where_the_ends_lie_on_either_side():
    ask = partial(questions.changes, tasks=FRESH)
    assert ask({"models": models([(1.0, 0.8, 0.3, 0.0)] * 3)}).verdict is Verdict.CONFIRMED
    assert ask({"models": models([(1.0, 0.8, 0.7, 0.6)] * 3)}).verdict is Verdict.REFUTED
    assert ask({"models": models([(0.51, 0.3, 0.2, 0.1)] * 3)}).verdict is Verdict.UNDECIDED


def test_recipes_move_models_by_seed():
    base = models([(0.9, 0.8, 0.7, 0.6)] * 3)
    towards = pd.concat([base, models([(0.5, 0.4, 0.3, 0.2)] * 3, CONSTANT)])
    away = pd.concat([base, models([(1.0, 0.9, 0.8, 0.7)] * 3, POSTERIOR)])
    by_name = {question.name: question.ask for question in questions.QUESTIONS}
    answer = by_name["parts"]({"models": towards})
    assert (answer.verdict, answer.met) == (Verdict.CONFIRMED, 12)
    assert answer.numbers[f"{CONSTANT}, M = 4"].value == pytest.approx(-0.4)
    together = pd.concat([base, models([(0.5, 0.4, 0.3, 0.9)] * 3, FAST_CONSTANT)])
    answer = by_name["rates"]({"models": together})
    assert (answer.verdict, answer.met, answer.missed) == (Verdict.IN_PART, 9, 3)
    assert by_name["parts"]({"models": together}).verdict is Verdict.UNDECIDED
    assert by_name["targets"]({"models": away}).verdict is Verdict.CONFIRMED
    assert by_name["targets"]({"models": towards}).verdict is Verdict.UNDECIDED
    assert by_name["beyond_bayes"]({"models": models([(0.9, 0.8, 0.3, 0.2)])}).verdict is Verdict.CONFIRMED
    assert by_name["beyond_bayes"]({"models": models([(0.9, 0.8, 0.3, 0.2)], error=0.6)}).verdict is Verdict.REFUTED
