"""The overview has what a model has, and leaves out what it cannot have."""

import numpy as np
import pytest
from pandas.testing import assert_frame_equal
from torch import nn

from iclab.inspect import overview
from iclab.models import Architecture, Transformer
from iclab.prompts import Gaussian, Linear, MarkovChains, PromptDistribution
from iclab.report.inspection import write_inspection

from .conftest import ARCHITECTURES, D, P, randomised

LAW = PromptDistribution(Gaussian.isotropic(D), Linear())


@pytest.mark.slow
def test_of_a_recurrence_everything_but_attention(tmp_path):
    found = overview(randomised(ARCHITECTURES["lstm"]), LAW, P, n_prompts=24)
    assert not found.patterns
    assert not {"shares", "induction", "products"} & found.tables.keys()
    assert {"readouts", "probes", "importance", "descent", "learner"} <= found.tables.keys()
    write_inspection("lstm", found.facts, found.tables, found.patterns, tmp_path)


@pytest.mark.slow
def test_of_symbols_the_scores_of_induction(tmp_path):
    model = Transformer(Architecture(dimension=0, max_points=9, width=8, head="classes", outputs=3))
    found = overview(model, MarkovChains(3), 9, n_prompts=24)
    assert {"shares", "induction", "importance"} <= found.tables.keys()
    assert not {"readouts", "probes", "descent"} & found.tables.keys()
    write_inspection("symbols", found.facts, found.tables, found.patterns, tmp_path)


def test_of_a_module_of_ones_own_what_its_parts_show(own, tmp_path):
    found = overview(own, LAW, P, n_prompts=24)
    assert set(found.tables["importance"]["part"]) == {"read.out", "memory.out", "answer.out"}
    assert set(found.tables["probes"]["activation"]) == {"read.out", "memory.out", "answer.out"}
    assert found.facts["read"] == ["read.out", "memory.out", "answer.out", "prediction"]
    assert set(found.tables["readouts"]["block"]) == {0, 1, 2, 3}
    write_inspection("own", found.facts, found.tables, found.patterns, tmp_path)


def test_a_module_without_parts_that_answer_at_positions_has_the_algorithm_of_its_predictions():
    class Before(nn.Module):
        """The label before, times a number of the whole prompt, which is 1."""

        def __init__(self):
            super().__init__()
            self.number = nn.Linear(D, 1)
            nn.init.zeros_(self.number.weight)
            nn.init.ones_(self.number.bias)

        def forward(self, xs, ys):
            return self.number(xs[:, 0]) * nn.functional.pad(ys[:, :-1], (1, 0))

    found = overview(Before().double(), LAW, P, n_prompts=24)
    assert found.facts["read"] == ["prediction"]
    assert "probes" not in found.tables
    prompts = LAW.sample(24, P, seed=0)
    zero = found.tables["readouts"].query("algorithm == 'zero'")["distance"].item()
    power = np.square(prompts.targets[:, 1:]).mean()
    assert zero == pytest.approx(np.square(prompts.ys[:, :-1]).mean() / power, rel=1e-9)


def test_a_bare_module_is_looked_into_as_its_model_is_but_for_its_start(own):
    bare, made = (overview(each, LAW, P, n_prompts=24) for each in (own.model.net, own))
    assert set(bare.tables["probes"]["model"]) == {"trained"}
    for name in ("importance", "readouts", "errors"):
        assert_frame_equal(bare.tables[name], made.tables[name])
