"""What the depth study says follows from tables made by hand."""

import pandas as pd

from incontext.studies.depth.contexts import IDENTITY, RANDOM
from incontext.studies.depth.forms import FULL, GD_PLUS, INVARIANT
from incontext.studies.depth.models import LINEAR, SOFTMAX, Model
from incontext.studies.depth.verdicts import ALL_WEIGHTS, BETTER, FORMS, LABELS, UNDECIDED, WORSE, left_open
from incontext.studies.depth.views import DIAGONAL, LABEL_LABEL, OFF
from incontext.studies.depth.words import _fits, _forms, _symmetries
from incontext.studies.depth.words_beyond import algorithms, beyond, rare, shifts, summary

FEW = {"laws": [IDENTITY, RANDOM], "depths": [1, 2, 3], "dimension": 5, "n_train": 20, "n_prompts": 50}


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
    no_remedies = pd.DataFrame(columns=["law", "noise", "scale", "remedy", "layers"])
    lines = summary({"limit": limit, "remedies": no_remedies, "errors": errors}, settings)
    return " ".join(line for line in lines if "fourfold" in line), beyond(errors, settings)


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
    assert "in 2 of 4 steps, lowers it in 0 and leaves 2 undecided" in line
    assert f"every layer raises the median under {IDENTITY}; under {RANDOM} the median goes from 0.1 to 0.001" in told
    assert told.endswith("while errors above 1e+50 set the mean at L = 3 (at most 100 % of prompts).")
    assert told_at_four(errors, {**FEW, "depths": [1]}) == ("", "")
    falling = at_four(
        error=dict.fromkeys(FEW["laws"], (9.0, 5.0, 1.0)),
        stderr=dict.fromkeys(FEW["laws"], (0.1, 0.1, 0.1)),
        median=dict.fromkeys(FEW["laws"], (3.0, 2.0, 1.0)),
    )
    line, told = told_at_four(falling, FEW)
    assert "in 0 of 4 steps, lowers it in 4 and" in line
    assert "every layer raises" not in told
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
        "0.001 and 1e−06 (50 contexts). A layer can do nothing, so the best error is at most the 0.4 of L = 1: the "
        "fit fails, not depth."
    )
    assert rare(every.head(1), FEW) == ""
    assert "rare" not in rare(every.assign(worst=0.2), FEW)
    assert "the fit fails" not in rare(every.iloc[1:], FEW)
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
    assert told.endswith("Falls from a fit short of its optimum: 1 of 1.")
    assert "overfitting" not in freed([BETTER, WORSE], [0.3, 0.2, 0.25], [0.1, 0.1, 0.1])
    assert "short" not in freed([BETTER, WORSE], [0.3, 0.2, 0.25], [0.1, 9.0, 9.0])
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
        {"law": IDENTITY, "attention": name, "layers": 1, "test": test, "error": e, "median": m, "tolerated": t}
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
    assert "it tolerates 1 shifts and softmax 2; of 1 larger covariances cΛ, c > 1, 0 and 1." in told


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
    models = pd.DataFrame({"layers": [1, 2, 3], "near": [2, 1, 2], "polished": [6, 2, 2], "slope": [1e-6, 1.5, 1e-3]})
    settings = {**FEW, "n_starts": 20, "n_prompts": 4_000, "n_softmax_prompts": 400, "n_queries": 8, "seed": 0}
    told = _fits({"models": models, "fits": pd.DataFrame({"kind": ["warm", "random", "random"]})}, settings)
    assert "20 starts per model (1 of 3 from models fitted before) run 40–60 iterations" in told
    assert "on 500 contexts of 8 queries (softmax 50). The best 2 or 6 go on, on all 4,000 (400)" in told
    assert "In 1 of 3 models the gradient of the log loss is still above 1" in told
    assert "In 1 of the 2 of more than one layer a second" in told
