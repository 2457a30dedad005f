"""The study of the spike reads known tables and known errors correctly, and resumes to the same tables."""

import numpy as np
import pandas as pd
import pytest
import torch

from incontext.models import Architecture, Transformer, TransformerPredictor
from incontext.prompts import Gaussian, Linear, PromptDistribution
from incontext.report.figures import positions as drawn
from incontext.studies import positions
from incontext.studies.panels import resampling
from incontext.studies.positions import AS_TRAINED, TREATMENTS, PositionsSettings, scaled, treated
from incontext.studies.profiles import get_profile
from incontext.studies.store import Store

N = 3
ROWS = 2 * (3 * N + 1)


@pytest.fixture
def predictor():
    model = Transformer(Architecture(dimension=2, max_points=3 * N + 1, width=8, layers=2)).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.5 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    return TransformerPredictor(model)


@pytest.mark.parametrize(
    ("treatment", "sources"),
    [
        # Trained rows are 0 … 2N = 6; inputs stand at even rows, labels at odd ones.
        ("untrained rows the last trained", [*range(7), *[5, 6] * 6, 5]),
        ("untrained rows wrapped onto trained", [*range(7), *[row % 6 for row in range(7, 20)]]),
        ("begun at untrained rows", [*range(8, 20), *range(8)]),
    ],
)
def test_rows_come_from_where_they_should(treatment, sources):
    table = torch.arange(float(ROWS))[:, None]
    treated_table = TREATMENTS[treatment](table.clone(), N)
    assert treated_table[:, 0].tolist() == sources


def test_untrained_rows_become_nothing_or_the_mean_of_their_kind():
    table = torch.arange(float(ROWS))[:, None]
    zero = TREATMENTS["untrained rows zero"](table.clone(), N)[:, 0]
    assert zero.tolist() == [0, 1, 2, 3, 4, 5, 6] + [0] * 13
    mean = TREATMENTS["untrained rows the mean of trained ones"](table.clone(), N)[:, 0]
    assert mean.tolist() == [0, 1, 2, 3, 4, 5, 6] + [3, 3] * 6 + [3]  # (0 + 2 + 4 + 6)/4 = (1 + 3 + 5)/3
    mean = TREATMENTS["untrained rows the mean of trained ones"](table.clone() ** 2, N)[:, 0]
    assert mean[8].item() == pytest.approx((0 + 4 + 16 + 36) / 4)
    assert mean[7].item() == pytest.approx((1 + 9 + 25) / 3)


def test_treatments_of_untrained_rows_change_nothing_up_to_n(predictor):
    prompts = PromptDistribution(Gaussian.isotropic(2), Linear()).sample(5, 3 * N + 1, seed=0)
    before = predictor(prompts)
    for name, treatment in TREATMENTS.items():
        after = treated(predictor, treatment, N)(prompts)
        if name != "begun at untrained rows":
            np.testing.assert_array_equal(after[:, : N + 1], before[:, : N + 1])
            assert (np.abs(after - before)[:, N + 1 :] > 1e-6).any()
    np.testing.assert_array_equal(predictor(prompts), before)  # the predictor itself stays as it is


def test_beginning_late_is_what_shifted_starts_mean(predictor):
    prompts = PromptDistribution(Gaussian.isotropic(2), Linear()).sample(5, N + 1, seed=0)
    xs, ys = torch.from_numpy(prompts.xs), torch.from_numpy(prompts.ys)
    expected = predictor.model(xs, ys, starts=torch.full((5,), N + 1)).detach().numpy()
    late = treated(predictor, TREATMENTS["begun at untrained rows"], N)
    np.testing.assert_allclose(late(prompts), expected, rtol=1e-12, atol=1e-12)
    same = treated(predictor, scaled(1.0), N)
    np.testing.assert_array_equal(same(prompts), predictor(prompts))


def _errors(base, jump, *, prompts=4000, n=4):
    """Errors of one learned model on c·Exp(1): around base(c) up to N, base(c) + jump(c) beyond."""
    rng = np.random.default_rng(0)
    errors = {}
    for c in (1.0, 4.0, 9.0):
        means = np.full(3 * n + 1, base(c))
        means[n + 1 :] += jump(c)
        noise = rng.normal(1, 0.05, (prompts, 1))
        errors["learned-fixedcov-seed0", AS_TRAINED, f"{c:g}·Exp(1)"] = noise * means
    return errors


def _variance(base, jump):
    settings = PositionsSettings(dimension=2, n_train=4, preset="tiny", overrides={}, n_prompts=4000)
    table = positions._variance(_errors(base, jump), settings, resampling(4000, 200, 0))
    return table.set_index("c")


def test_a_jump_that_stays_and_a_base_that_grows_are_told_apart():
    table = _variance(lambda c: 0.1 * c**2, lambda c: 0.7)
    np.testing.assert_allclose(table["ratio"], [8, 1.4375, 1.0864], rtol=0.01)
    assert table.loc[9.0, "exponent"] == pytest.approx(0, abs=0.01)
    # log(1 + .7/.1) − log(1 + .7/.9) over log 8 − log(1 + (.7/9)/.9)
    assert table.loc[9.0, "share_of_base"] == pytest.approx(
        (np.log(8) - np.log1p(0.7 / 0.9)) / (np.log(8) - np.log1p(0.7 / 9 / 0.9)), abs=0.01
    )


def test_when_only_the_base_grows_its_share_is_everything():
    table = _variance(lambda c: 0.1 * c**2, lambda c: 0.7 * c)
    assert table.loc[9.0, "share_of_base"] == pytest.approx(1, abs=0.01)
    assert table.loc[9.0, "exponent"] == pytest.approx(1, abs=0.01)
    table = _variance(lambda c: 0.1 * c, lambda c: 0.7)
    assert table.loc[9.0, "share_of_base"] == pytest.approx(0, abs=0.01)


def test_intervals_hold_the_truth_and_tell_a_spike_from_noise():
    rng = np.random.default_rng(1)
    settings = PositionsSettings(dimension=2, n_train=4, preset="tiny", overrides={}, n_prompts=4000)
    errors = {}
    for name, factor in (("learned", 3.0), ("none", 1.0)):
        means = np.full(13, 0.2)
        means[5:] *= factor
        errors[f"{name}-fixedcov-seed0", AS_TRAINED, "identity"] = rng.exponential(size=(4000, 13)) * means
    table = positions._spikes(errors, settings, resampling(4000, 500, 0)).set_index("variant")
    assert table["verdict"].to_dict() == {"learned": "spike", "none": "none"}
    for name, factor in (("learned", 3.0), ("none", 1.0)):
        assert table.loc[name, "near_low"] < factor < table.loc[name, "near_high"]


def test_the_smoke_size_runs_resumes_and_is_drawn(tmp_path):
    sizes = {**get_profile("smoke").parts["positions"], "workers": 1, "n_prompts": 40}
    given = {"store": Store(tmp_path / "units"), "runs": tmp_path / "runs", "progress": lambda *_: None}
    record = positions.run(**given, **sizes)
    units = {path: path.stat().st_mtime_ns for path in (tmp_path / "units").iterdir()}
    again = positions.run(**given, **sizes)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "units").iterdir()} == units
    for name, table in record.tables.items():
        pd.testing.assert_frame_equal(table, again.tables[name], check_exact=True)
    assert record.facts["summary"][0].startswith("Undecided:")  # ten steps teach nothing
    assert [drawing.name for drawing in drawn.draw(record)] == ["positions", "positions-variance"]
    learned = record.tables["curves"].query("variant == 'learned' and treatment == 'untrained rows zero'")
    assert set(learned["panel"]) == {"identity", "1·Exp(1)"}
