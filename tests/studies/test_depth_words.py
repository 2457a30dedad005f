"""What the depth study says of shifts and rare prompts follows from tables made by hand."""

import pandas as pd

from incontext.studies.depth.contexts import IDENTITY, RANDOM
from incontext.studies.depth.forms import GD_PLUS
from incontext.studies.depth.models import LINEAR, Model
from incontext.studies.depth.words_beyond import beyond, rare

FEW = {"laws": [IDENTITY, RANDOM], "depths": [1, 2, 3], "dimension": 5, "n_train": 20}


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


def test_a_larger_mean_is_worse_only_beyond_its_errors_and_the_cut():
    """Each mean is above the one before: in one law first beyond twice the errors, then not; in the other by the cut.

    1e50 on one of 100 prompts of E tr 4Λ = 20 makes a mean of 5e46, so that the mean at L = 2 is a lower bound.
    """
    errors = at_four(
        error={IDENTITY: (1.0, 9.0, 20.0), RANDOM: (1.0, 5e46, 5e48)},
        stderr={IDENTITY: (0.1, 1.0, 10.0), RANDOM: (0.1, 1e46, 1e46)},
        median={IDENTITY: (0.1, 0.2, 0.3), RANDOM: (0.1, 0.2, 1e-3)},
    )
    told = beyond(errors, FEW)
    assert f"in 2 of 4 steps and lowers it in 0 (undecided: {IDENTITY}, L = 3; {RANDOM}, L = 3)" in told
    assert f"every layer raises the median under {IDENTITY}; under {RANDOM} the median goes from 0.1 to 0.001" in told
    assert told.endswith("while the mean goes from 1 to at least 5e+48.")
    assert beyond(errors, {**FEW, "depths": [1]}) == ""
    falling = at_four(
        error=dict.fromkeys(FEW["laws"], (9.0, 5.0, 1.0)),
        stderr=dict.fromkeys(FEW["laws"], (0.1, 0.1, 0.1)),
        median=dict.fromkeys(FEW["laws"], (3.0, 2.0, 1.0)),
    )
    assert "in 0 of 4 steps and lowers it in 4;" in beyond(falling, FEW)
    assert "every layer raises" not in beyond(falling, FEW)


def test_models_that_rare_prompts_ruin_are_named():
    every = pd.DataFrame(
        {
            "law": RANDOM,
            "attention": LINEAR,
            "weights": ["untied", "untied", "untied", "tied"],
            "layers": [1, 2, 3, 3],
            "error": [0.4, 3e17, 3e47, 7.0],
            "worst": [0.1, 1.0, 1.0, 1.0],
            "median": [0.1, 1e-4, 1e-8, 1.0],
            "n": 100,
        }
    )
    assert rare(every, FEW) == (
        "at N = 20 untied models of L = 2 and 3 have mean errors of 3e+17 and at least 3e+47, carried by rare prompts, "
        "and medians of 0.0001 and 1e−08"
    )
    assert rare(every.head(1), FEW) == ""
    assert "carried" not in rare(every.assign(worst=0.2), FEW)
