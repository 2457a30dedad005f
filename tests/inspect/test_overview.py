"""The overview has what a model has, and leaves out what it cannot have."""

import pytest

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


def test_of_a_module_of_ones_own_what_its_parts_show(own):
    found = overview(own, LAW, P, n_prompts=24)
    assert set(found.tables["importance"]["part"]) == {"read.out", "memory.out", "answer.out"}
    assert set(found.tables["probes"]["activation"]) == {"read.out", "memory.out", "answer.out"}
    assert "readouts" not in found.tables
