"""The study of the spike: tables of positions change as they should, statistics and answers follow known errors."""

import numpy as np
import pandas as pd
import pytest
import torch

from iclab.models import Architecture, Transformer, TransformerPredictor
from iclab.prompts import Gaussian, Linear, PromptDistribution
from iclab.studies.measuring import Panel, resampling
from iclab.studies.positions import measure as positions
from iclab.studies.positions.measure import AS_TRAINED, Case, Model, Settings
from iclab.studies.positions.questions import QUESTIONS, SPIKE
from iclab.studies.positions.treatments import CHANGES, trained_rows, treated
from iclab.studies.study import Verdict

N = 3
ROWS = 2 * (3 * N + 1)
SETTINGS = Settings(dimension=2, n_train=4, n_prompts=4000)
ASKED = {question.name: question.ask for question in QUESTIONS}


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
        ("last", [*range(7), *[5, 6] * 6, 5]),
        ("wrapped", [*range(7), *[row % 6 for row in range(7, 20)]]),
        ("late", [*range(8, 20), *range(8)]),
    ],
)
def test_rows_come_from_where_they_should(treatment, sources):
    table = torch.arange(float(ROWS))[:, None]
    assert CHANGES[treatment](table.clone(), trained_rows(N))[:, 0].tolist() == sources


def test_untrained_rows_become_nothing_or_the_mean_of_their_kind():
    table, rows = torch.arange(float(ROWS))[:, None], trained_rows(N)
    assert CHANGES["zero"](table.clone(), rows)[:, 0].tolist() == [0, 1, 2, 3, 4, 5, 6] + [0] * 13
    mean = CHANGES["mean"](table.clone() ** 2, rows)[:, 0]
    assert mean[8].item() == pytest.approx((0 + 4 + 16 + 36) / 4)
    assert mean[7].item() == pytest.approx((1 + 9 + 25) / 3)


def test_treatments_of_untrained_rows_change_nothing_up_to_n(predictor):
    prompts = PromptDistribution(Gaussian.isotropic(2), Linear()).sample(5, 3 * N + 1, seed=0)
    before = predictor(prompts)
    for name in set(CHANGES) - {"late"}:
        after = treated(predictor, name, 1.0, N)(prompts)
        np.testing.assert_array_equal(after[:, : N + 1], before[:, : N + 1])
        assert (np.abs(after - before)[:, N + 1 :] > 1e-6).any()
    np.testing.assert_array_equal(predictor(prompts), before)  # the predictor itself stays as it is


def test_beginning_late_is_what_shifted_starts_mean(predictor):
    prompts = PromptDistribution(Gaussian.isotropic(2), Linear()).sample(5, N + 1, seed=0)
    xs, ys = torch.from_numpy(prompts.xs), torch.from_numpy(prompts.ys)
    expected = predictor.model(xs, ys, starts=torch.full((5,), N + 1)).detach().numpy()
    np.testing.assert_allclose(treated(predictor, "late", 1.0, N)(prompts), expected, rtol=1e-12, atol=1e-12)
    same = treated(predictor, AS_TRAINED, 1.0, N)
    np.testing.assert_array_equal(same(prompts), predictor(prompts))


MODEL = Model("learned", "fixed", 0)


def exponential(c, treatment=AS_TRAINED, factor=1.0):
    return Case(MODEL, treatment, factor, Panel("random-exponential", c))


def errors_of(base, jump):
    """Errors of one learned model on c·Exp(1): around base(c) up to N, base(c) + jump(c) beyond."""
    noise = np.random.default_rng(0).normal(1, 0.05, (SETTINGS.n_prompts, 1))
    errors = {}
    for c in SETTINGS.scales:
        means = np.full(3 * SETTINGS.n_train + 1, base(c))
        means[SETTINGS.n_train + 1 :] += jump(c)
        errors[exponential(c)] = noise * means
    return errors


def variance_of(base, jump):
    weights = resampling(SETTINGS.n_prompts, 200, 0)
    return positions._variance(errors_of(base, jump), SETTINGS, weights).set_index("c")


def test_a_jump_that_stays_and_a_base_that_grows_are_told_apart():
    table = variance_of(lambda c: 0.1 * c**2, lambda c: 0.7)
    np.testing.assert_allclose(table["ratio"], [8, 1.4375, 1.0864], rtol=0.01)
    assert table.loc[9.0, "exponent"] == pytest.approx(0, abs=0.01)
    # Over c the base grows as c and the jump falls as 1/c: each has half of the fall of log(jump / base).
    assert table.loc[9.0, "share_of_base"] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(("power", "jump", "share"), [(2, 1, 1), (1, 0, 0)])
def test_shares_of_the_base_alone_and_of_the_jump_alone(power, jump, share):
    table = variance_of(lambda c: 0.1 * c**power, lambda c: 0.7 * c**jump)
    assert table.loc[9.0, "share_of_base"] == pytest.approx(share, abs=0.01)
    assert table.loc[9.0, "exponent"] == pytest.approx(jump, abs=0.01)


def test_the_change_of_a_jump_is_judged_at_the_largest_c():
    for last, verdict in ((0.5, Verdict.CONFIRMED), (0.9, Verdict.REFUTED)):
        table = variance_of(lambda c: 0.1 * c**2, {1.0: 0.7, 4.0: 0.6, 9.0: last}.get)
        np.testing.assert_allclose(table.loc[[4.0, 9.0], "jump_change"], [-0.1, last - 0.7], rtol=0.02)
        assert ASKED["jump"]({"variance": table.reset_index()}).verdict is verdict


def test_interventions_are_held_against_what_the_relative_size_predicts():
    errors = errors_of(lambda c: 0.1 * c, lambda c: 0.7)  # over c the jump is .7/c: predicted .7 at c, .7/c at 1
    n, size = SETTINGS.n_train, 3 * SETTINGS.n_train + 1
    for c in (4.0, 9.0):
        restored, kept = np.full(size, 0.1 * c), np.full(size, 0.1)
        restored[n + 1 :] += 0.7 * c
        kept[n + 1 :] += 0.7
        errors[positions._multiplied(MODEL, c)] = np.tile(restored, (SETTINGS.n_prompts, 1))
        errors[positions._divided(MODEL, c, 1.0)] = np.tile(kept, (SETTINGS.n_prompts, 1))
    table = positions._interventions(errors, SETTINGS, resampling(SETTINGS.n_prompts, 200, 0))
    multiplied, divided = (table[table["treatment"] == name] for name in ("multiplied", "divided"))
    np.testing.assert_allclose(multiplied["gap"], 0, atol=0.01)
    np.testing.assert_allclose(multiplied["change"], [0.7 - 0.7 / 4, 0.7 - 0.7 / 9], atol=0.01)
    np.testing.assert_allclose(divided["gap"], [0.7 - 0.7 / 4, 0.7 - 0.7 / 9], atol=0.01)
    np.testing.assert_allclose(divided["change"], 0, atol=0.01)
    answer = ASKED["mechanism"]({"interventions": table})
    assert (answer.verdict, answer.missed) == (Verdict.IN_PART, 2)


def test_intervals_hold_the_truth_and_tell_a_spike_from_noise():
    rng = np.random.default_rng(1)
    n, factors, errors = SETTINGS.n_train, {"learned": 3.0, "none": 1.0}, {}
    for variant, factor in factors.items():
        means = np.full(3 * n + 1, 0.2)
        means[n + 1 :] *= factor
        case = Case(Model(variant, "fixed", 0), AS_TRAINED, 1.0, Panel("identity", 1.0))
        errors[case] = rng.exponential(size=(SETTINGS.n_prompts, 3 * n + 1)) * means
    table = positions._spikes(errors, SETTINGS, resampling(SETTINGS.n_prompts, 500, 0)).set_index("variant")
    assert table["own"].all()
    for variant, factor in factors.items():
        assert table.loc[variant, "near_low"] < factor < table.loc[variant, "near_high"]
        assert table.loc[variant, "far_jump_low"] < 0.2 * (factor - 1) < table.loc[variant, "far_jump_high"]


def spikes(**ratios):
    """Table ``spikes`` of models whose errors beyond N are these times the error at N, 5 for learned positions."""
    near = {"learned": 5.0, **dict.fromkeys(("shifted", "none", "rotary", "alibi"), 0.9), "zeroed": 0.9, **ratios}
    rows = []
    for name, ratio in near.items():
        model = ("learned", "zero") if name == "zeroed" else (name, AS_TRAINED)
        row = dict(zip(("variant", "treatment"), model, strict=True)) | {"own": True}
        for window in ("near", "far"):
            row |= {window: ratio, f"{window}_low": ratio - 0.02, f"{window}_high": ratio + 0.02}
        rows.append(row)
    return {"spikes": pd.DataFrame(rows)}


@pytest.mark.parametrize(
    ("ratios", "verdict"),
    [
        ({}, Verdict.CONFIRMED),
        ({"none": 3.0}, Verdict.IN_PART),
        ({"zeroed": 5.0}, Verdict.IN_PART),
        (dict.fromkeys(("shifted", "none", "rotary", "alibi"), 3.0), Verdict.REFUTED),
        ({"learned": 1.0}, Verdict.UNDECIDED),
        ({"learned": SPIKE}, Verdict.UNDECIDED),
    ],
)
def test_the_cause_is_a_spike_with_learned_positions_alone(ratios, verdict):
    assert ASKED["cause"](spikes(**ratios)).verdict is verdict
