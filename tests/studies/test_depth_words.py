"""What the depth study says follows from tables made by hand."""

import numpy as np
import pandas as pd
import pytest

from iclab.studies.depth.contexts import IDENTITY, PLAIN, RANDOM, TRACE
from iclab.studies.depth.forms import FULL, GD_PLUS, INVARIANT
from iclab.studies.depth.models import LINEAR, SOFTMAX, Model
from iclab.studies.depth.verdicts import (
    ALL_WEIGHTS,
    BETTER,
    FORMS,
    LABELS,
    UNDECIDED,
    WORSE,
    least,
    left_open,
    verdict,
)
from iclab.studies.depth.views import DIAGONAL, DOUBLED, LABEL_LABEL, OFF
from iclab.studies.depth.words import _fits, _forms, _standing, _symmetries
from iclab.studies.depth.words_beyond import algorithms, beyond, rare, shifts, summary

NO_GAINS = pd.DataFrame(columns=["law", "noise", "remedy", "layers", "error", "stderr"])
NO_MODELS = pd.DataFrame(columns=["law", "attention", "weights", "layers", "error", "stderr", "n", "worst"])
FEW = {"laws": [IDENTITY, RANDOM], "depths": [1, 2, 3], "dimension": 5, "n_train": 20, "n_prompts": 50}


def mean_of(errors):
    return pd.Series(
        {"error": np.mean(errors), "stderr": np.std(errors, ddof=1) / np.sqrt(len(errors)), "n": len(errors)}
    )


def judged(first, second):
    """The verdict on two independent means of E tr Λ = 5."""
    reach = 1.96 * np.hypot(first["stderr"], second["stderr"])
    difference = first["error"] - second["error"]
    return verdict(first, second, difference - reach, difference + reach, 5)


@pytest.mark.parametrize("n", [10, 100, 20_000])
def test_the_lower_bound_fails_in_one_of_forty_samples_at_most(n):
    """The worst law has one value of a probability just too small: the bound then exceeds the mean where it is met."""
    bound = least(mean_of([0.0] * (n - 1) + [1e6]))
    probability = 0.9999 * bound / 1e6
    assert bound > 1e6 * probability
    assert 0.0249 < 1 - (1 - probability) ** n < 0.025


def test_the_lower_bound_of_one_large_error_is_that_of_clopper_and_pearson():
    assert least(mean_of([0.0] * 99 + [1e6])) == pytest.approx(1e6 * (1 - 0.975**0.01))
    assert least(pd.Series({"error": 0.0, "stderr": 0.0, "n": 9})) == 0


def test_one_large_error_decides_what_the_interval_leaves_open():
    usual = mean_of([0.3, 0.5] * 1_000)
    for worst, says in ((1e20, WORSE), (1e4, UNDECIDED)):
        first = mean_of([1e-4] * 1_999 + [worst])
        assert first["error"] - 1.96 * first["stderr"] < usual["error"]
        assert judged(first, usual) == says
        assert judged(usual, first) == {WORSE: BETTER}.get(says, says)
    # Against another mean that one error makes, it has to exceed all that this one's errors sum to.
    rare = mean_of([1e-4] * 1_999 + [1e18])
    assert judged(mean_of([1e-4] * 1_999 + [1e20]), rare) == UNDECIDED
    assert judged(mean_of([1e-4] * 1_999 + [1e25]), rare) == WORSE


def test_errors_that_were_cut_leave_their_mean_without_an_upper_bound():
    cut = mean_of([1e49] * 100)
    assert judged(mean_of([1e45] * 100), cut) == BETTER
    assert judged(cut, mean_of([1e45] * 100)) == WORSE
    for other in (0.5, 2.0):
        assert judged(mean_of([other * 1e49] * 100), cut) == UNDECIDED


def at_four(**cells):
    """Errors at c = 4 of both laws at three depths, of 100 prompts."""
    rows = [
        {
            "law": law,
            "name": Model(law, LINEAR, GD_PLUS, False, layers).name,
            "test": "c = 4",
            **{column: values[law][layers - 1] for column, values in cells.items()},
            "n": 100,
        }
        for law in FEW["laws"]
        for layers in FEW["depths"]
    ]
    return pd.DataFrame(rows)


def told_at_four(errors, settings):
    """The line for the first page on a fourfold covariance, and the sentence of the page."""
    limit = pd.DataFrame({"form": GD_PLUS, "tied": False, "layers": [1, 2], "error": [1 / 3, 0.1]})
    tables = {"limit": limit, "gains": NO_GAINS, "every": NO_MODELS, "errors": errors}
    return " ".join(line for line in summary(tables, settings) if "4Λ" in line), beyond(errors, settings)


def test_a_larger_mean_is_worse_only_beyond_its_errors_and_the_cut():
    """Each mean is above the one before: in one law first beyond twice the errors, then not; in the other by the cut.

    1e50 on one of 100 prompts of E tr 4Λ = 20 makes a mean of 5e46, so that the mean at L = 2 is a lower bound.
    """
    errors = at_four(
        error={IDENTITY: (1.0, 9.0, 20.0), RANDOM: (1.0, 5e46, 5e48)},
        stderr={IDENTITY: (0.1, 1.0, 10.0), RANDOM: (0.1, 1e46, 1e46)},
        median={IDENTITY: (0.1, 0.2, 0.3), RANDOM: (0.1, 0.2, 1e-3)},
    )
    line, told = told_at_four(errors, FEW)
    assert "raises the mean error in 2 of 4 steps and lowers it in 0 (2 undecided); it raises the median in 3" in line
    assert f"and lowers it in 1 (under {RANDOM})" in line
    assert told.startswith(f"On covariance 4Λ under {RANDOM} the median goes from 0.1 to 0.001")
    assert told.endswith("while errors above 1e+50 set the mean at L = 3 (at most 100 % of prompts).")
    assert told_at_four(errors, {**FEW, "depths": [1]}) == ("", "")
    falling = at_four(
        error=dict.fromkeys(FEW["laws"], (9.0, 5.0, 1.0)),
        stderr=dict.fromkeys(FEW["laws"], (0.1, 0.1, 0.1)),
        median=dict.fromkeys(FEW["laws"], (3.0, 2.0, 1.0)),
    )
    line, told = told_at_four(falling, FEW)
    assert "in 0 of 4 steps and lowers it in 4; it raises the median in 0 and lowers it in 4" in line
    cut = at_four(
        error=dict.fromkeys(FEW["laws"], (5e46, 6e46, 7e46)),
        stderr=dict.fromkeys(FEW["laws"], (1e46, 1e46, 1e46)),
        median=dict.fromkeys(FEW["laws"], (1.0, 2.0, 3.0)),
    )
    line, told = told_at_four(cut, FEW)
    assert line.startswith("Undecided")
    assert "(4 undecided, as errors above 1e+50 are cut)" in line
    assert told == ""
    told = beyond(falling, FEW)
    assert "the mean goes from 9.00 ± 0.10 to 1.00 ± 0.10" in told


def test_failed_fits_are_told_with_their_training_errors():
    """1e50 on one of 100 prompts of E tr Λ = 5 makes a mean of 2e47."""
    every = pd.DataFrame(
        {
            "law": RANDOM,
            "attention": LINEAR,
            "weights": ["untied", "untied", "untied", "tied"],
            "layers": [1, 2, 3, 3],
            "error": [0.4, 3e17, 4e47, 7.0],
            "stderr": [0.1, 2e17, 2e47, 1.0],
            "worst": [0.1, 1.0, 1.0, 1.0],
            "median": [0.1, 1e-4, 1e-8, 1.0],
            "on training contexts": [0.4, 1e-3, 1e-6, 0.2],
            "n": 100,
        }
    )
    assert rare(every, FEW) == (
        "Untied fits of L = 2 and 3 are worse than predicting 0 on rare fresh prompts: mean errors (3.0 ± 2.0)e+17 and "
        "at least 4e+47 (beyond 1e+50: at most 2 of 100 prompts at L = 3), medians 0.0001 and 1e−08, training errors "
        "0.001 and 1e−06 (50 contexts). A layer can do nothing, so the error of the best weights is at most the 0.4 "
        "of L = 1. These fits are better on their contexts: overfitting, not a limit of depth."
    )
    assert rare(every.head(1), FEW) == ""
    assert "rare" not in rare(every.assign(worst=0.2), FEW)
    assert "A layer can" not in rare(every.iloc[1:], FEW)
    assert "overfitting" not in rare(every.assign(**{"on training contexts": [0.4, 0.5, 1e-6, 0.2]}), FEW)
    # A mean that 1 is within the errors of is not said to be worse.
    assert rare(every.assign(error=1.1, stderr=0.1), FEW) == ""
    assert "beyond" not in rare(every.iloc[:2], FEW)


def freed(says, train, slope):
    """Label weights freed, then all others, at two layers: verdicts, training errors and slopes of the three fits."""
    names = [Model(IDENTITY, LINEAR, form, False, 2).name for form in (GD_PLUS, INVARIANT, FULL)]
    compared = pd.DataFrame(
        {
            "law": IDENTITY,
            "group": FORMS,
            "question": [LABELS, ALL_WEIGHTS],
            "layers": 2,
            "first": names[1:],
            "second": names[:2],
            "says": says,
        }
    )
    return _forms(compared, pd.DataFrame({"law": IDENTITY, "name": names, "train": train, "slope": slope}), FEW)


def test_freed_weights_overfit_only_where_training_errors_fall():
    told = freed([BETTER, WORSE], [0.3, 0.2, 0.1], [2.2, 0.1, 0.1])
    assert "fall in 1 and rise in 0 of 1 cases when the label weights" in told
    assert "as in 1 of 1 such rises, it is overfitting to 50 contexts" in told
    assert "In 1 of the 1 falls the narrower fit had not converged (gradient of the log loss above 1)" in told
    assert "overfitting" not in freed([BETTER, WORSE], [0.3, 0.2, 0.25], [0.1, 0.1, 0.1])
    assert "converged" not in freed([BETTER, WORSE], [0.3, 0.2, 0.25], [0.1, 9.0, 9.0])
    assert "Freeing" not in freed([UNDECIDED, UNDECIDED], [0.3, 0.2, 0.1], [9.0, 9.0, 9.0])


def test_being_near_an_algorithm_is_weighed_by_its_distance_to_least_squares():
    table = pd.DataFrame(
        {
            "model": [f"{kind}, untied, L = {n}" for kind in (LINEAR, SOFTMAX) for n in (1, 2)]
            + ["linear, tied, L = 2"],
            "nearest": ["descent, one rate, k = 1", "least squares", "Newton, k = 2", "zero", "least squares"],
            "near": [True, True, True, False, True],
            "bootstraps": [1.0, 0.96, 0.9, 1.0, 1.0],
            "distance to least squares": [0.3, 0.01, 0.05, 0.5, 0.01],
        }
    )
    told = algorithms(table)
    assert "2 of 2 linear models (descent 1, least squares 1) and 0 of 2 softmax models have one" in told
    assert "That 3 of 4 are within a tenth of one says less: 2 are so near to least squares" in told


def test_shifts_compare_the_attentions_and_each_with_itself():
    rows = [
        {"law": IDENTITY, "attention": name, "layers": 1, "test": test, "error": e, "median": m, DOUBLED: t}
        for name, test, e, m, t in (
            (LINEAR, "c = 0.25", 0.1, 0.3, True),
            (LINEAR, "c = 4", 9.0, 0.1, False),
            (LINEAR, RANDOM, 9.0, 0.1, False),
            (SOFTMAX, RANDOM, 1.0, 0.2, True),
            (SOFTMAX, "c = 4", 1.0, 0.2, True),
            (SOFTMAX, "c = 0.25", 1.0, 0.2, False),
        )
    ]
    told = shifts(pd.DataFrame(rows))
    assert "smaller mean error than softmax in 1 of 3 cases, a smaller median in 2." in told
    assert "at most twice its own in 1 cases, those of softmax in 2" in told


def test_symmetries_are_read_only_where_something_is_beyond_the_bound():
    row = {"derivatives": 9, "bound": 3.0}
    slopes = pd.DataFrame(
        {**row, "weights": name, "largest |z|": z, "beyond": int(z > 3)}
        for name, z in ((LABEL_LABEL, 3.6), (DIAGONAL, 2.0), (OFF, 2.5))
    )
    told = _symmetries(slopes)
    assert "the GD++ form may not be stationary" in told
    assert "batch means are not normal" not in told
    assert "0 of 9 are above 3 (largest 2.5): as symmetry says." in told
    assert _symmetries(slopes.head(0)) == ""


def test_what_is_undecided_adds_up():
    rows = pd.DataFrame({"law": [IDENTITY, RANDOM, RANDOM, RANDOM], "says": [BETTER, *[UNDECIDED] * 3]})
    assert left_open(rows) == f" (undecided: 3 under {RANDOM})"
    assert left_open(rows.head(1)) == ""


def test_fits_are_told_with_their_two_rounds():
    models = pd.DataFrame(
        {
            "attention": [LINEAR, LINEAR, SOFTMAX],
            "layers": [1, 2, 3],
            "near": [2, 1, 2],
            "polished": [6, 2, 2],
            "slope": [1e-6, 1.5, 1e-3],
        }
    )
    settings = {**FEW, "n_starts": 20, "n_prompts": 4_000, "n_softmax_prompts": 400, "n_queries": 8, "seed": 0}
    told = _fits({"models": models, "fits": pd.DataFrame({"kind": ["warm", "random", "random"]})}, settings)
    assert "20 starts per model (1 of 3 from models fitted before) run 40–60 iterations" in told
    assert "on 500 contexts of 8 queries (softmax 50). The best 2 or 6 (softmax 2) go on, on all 4,000 (400)" in told
    assert "In 1 of 3 models the gradient of the log loss is still above 1" in told
    assert "In 1 of the 2 of more than one layer a second" in told


def test_depths_are_listed_by_what_is_said_of_them():
    rows = pd.DataFrame({"says": [UNDECIDED, BETTER, WORSE, WORSE], "layers": [2, 3, 4, 6]})
    assert _standing(rows) == "better at L = 3, worse at L = 4 and 6 and undecided at L = 2"
    assert _standing(rows.tail(2)) == "worse at every L > 1"


def test_normalised_layers_stand_beside_plain_ones_of_either_depth():
    """Depth and normalising are told apart, and tied layers named where there are any."""
    gains = pd.DataFrame(
        {
            "law": RANDOM,
            "noise": 0.0,
            "remedy": [PLAIN, PLAIN, TRACE, TRACE],
            "layers": [1, 2, 1, 2],
            "error": [0.4, 0.27, 0.29, 0.04],
            "stderr": 0.01,
        }
    )
    tables = {"limit": pd.DataFrame({"form": GD_PLUS, "tied": False, "layers": [1], "error": [1 / 3]}), "gains": gains}
    tables["errors"] = at_four(error=dict.fromkeys(FEW["laws"], (1.0, 1.0, 1.0)))
    two = pd.DataFrame({"law": [RANDOM], "attention": LINEAR, "weights": "tied", "layers": 2, "error": 0.16})
    settings = {**FEW, "depths": [1]}
    for every, tied in ((NO_MODELS, ""), (two.assign(stderr=0.01, n=9, worst=0.1), " (tied 0.160 ± 0.010)")):
        assert summary({**tables, "every": every}, settings)[-1] == (
            "Found: under random covariances (d = 5, N = 20) the error is 0.040 ± 0.010 with two layers on inputs "
            f"normalised by tr Λ̂, 0.270 ± 0.010 with two plain ones{tied}, 0.290 ± 0.010 with one so normalised and "
            "0.400 ± 0.010 with one plain."
        )
