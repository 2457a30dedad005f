"""The observations of Figure 1 are read correctly off errors whose answer is known."""

import numpy as np
import pytest
from scipy import stats

from iclab.prompts import RandomDiagonal
from iclab.studies.observation_checks import weigh
from iclab.studies.observations import (
    CONFIDENCE,
    FAILS,
    LONGER_IS_BETTER,
    MEETS,
    MISSES,
    OBSERVATIONS,
    SHORT_OF_LEAST_SQUARES,
    SPIKES,
    SPIKES_SHRINK,
    SUCCEEDS,
    UNDECIDED,
    counted,
    summarise,
)
from iclab.studies.panels import training_covariates
from iclab.theory import expected_risk

LENGTHS = (4, 6, 8)
ZERO = {"identity": 1.0, "1·Exp(1)": 1.0, "4·Exp(1)": 4.0, "9·Exp(1)": 9.0}


def _checks(table, observation):
    """The checks that decide an observation, without those that are only counted beside it."""
    return table[(table["observation"] == observation.title) & (table["criterion"] == observation.criterion)]


def _beside(table, observation):
    """What is counted beside an observation."""
    (entry,) = (entry for entry in summarise(table) if entry["observation"] == observation.title)
    return entry["beside"]


def _errors(level, *, spike=1.0, spike_decay=0.0, prompts=400, seed=0, seeds=(1.0,)):
    """Exponential errors around ``level(family, n, panel)`` times that of a training seed; beyond N spiked."""
    rng = np.random.default_rng(seed)
    errors = {}
    for family in ("fixed", "random"):
        for n in LENGTHS:
            for panel, zero in ZERO.items():
                means = np.full(9, level(family, n, panel))
                means[n + 1 :] *= 1 + spike * (zero**-spike_decay)
                draws = rng.exponential(size=(prompts, 9)) * means
                errors[family, n, panel] = np.array([draws * each for each in seeds])
    return errors


def _weighed(errors, seed=0):
    return weigh(errors, ZERO, LENGTHS, seed)


def _verdicts(errors):
    return {entry["observation"]: entry["verdict"] for entry in summarise(_weighed(errors))}


def test_a_world_in_which_the_paper_is_right():
    def level(family, n, panel):
        if family == "fixed" and panel[0] in "49":
            return 0.6 * ZERO[panel]
        return 0.2 * ZERO[panel] if panel[0] == "9" else 0.03 * ZERO[panel] * (4 / n) ** 2

    verdicts = _verdicts(_errors(level, spike=8.0, spike_decay=0.8))
    assert set(verdicts.values()) == {"appears"}, verdicts


def test_a_world_in_which_every_model_is_least_squares():
    verdicts = _verdicts(_errors(lambda family, n, panel: 1e-9, spike=0.0))
    appearing = {observation for observation, verdict in verdicts.items() if verdict == "appears"}
    assert appearing == {SUCCEEDS.title}
    denied = {observation for observation, verdict in verdicts.items() if verdict == "does not appear"}
    assert denied == {OBSERVATIONS[1].title, OBSERVATIONS[3].title}
    # Alike in truth, and so neither better nor worse.
    assert {verdicts[observation.title] for observation in (*OBSERVATIONS[4:], OBSERVATIONS[2])} == {UNDECIDED}


@pytest.mark.parametrize(
    ("level", "outcome"), [(0.5, MEETS), (0.1, MISSES), (0.25, UNDECIDED)], ids=["above", "below", "on the line"]
)
def test_a_check_meets_misses_or_leaves_open(level, outcome):
    table = _weighed(_errors(lambda family, n, panel: level * ZERO[panel]))
    fails = table[table["observation"] == FAILS.title]
    assert set(fails["outcome"]) == {outcome}
    assert len(fails) == 2 * len(LENGTHS)


def test_what_one_seed_shows_another_may_not():
    """The same prompts, and seeds whose errors differ by ten: their mean is on neither side of the line."""
    one = _weighed(_errors(lambda family, n, panel: 0.5 * ZERO[panel], prompts=4000))
    three = _weighed(_errors(lambda family, n, panel: 0.5 * ZERO[panel], prompts=4000, seeds=(0.2, 2.0, 0.8)))
    of = FAILS.title
    np.testing.assert_allclose(*(table[table["observation"] == of]["value"] for table in (one, three)))
    assert set(one[one["observation"] == of]["outcome"]) == {MEETS}
    assert set(three[three["observation"] == of]["outcome"]) == {UNDECIDED}
    # A factor common to a seed leaves its ratios alone.
    wide = [(table["upper"] / table["lower"])[table["observation"] == SPIKES.title] for table in (one, three)]
    np.testing.assert_allclose(*wide, rtol=1e-6)


def test_several_seeds_widen_the_interval_as_students_t_has_it():
    """Variance over prompts / B + variance over seeds / S, and Satterthwaite's degrees of freedom, by hand."""
    errors = _errors(lambda family, n, panel: 0.5 * ZERO[panel], seeds=(0.9, 1.0, 1.1))
    row = _weighed(errors).query("observation == @FAILS.title and where == 'fixedcov_N6 on 9·Exp(1)'").iloc[0]
    samples = errors["fixed", 6, "9·Exp(1)"][:, :, 6] / 9
    prompts, seeds = np.var(samples.mean(axis=0), ddof=1) / 400, np.var(samples.mean(axis=1), ddof=1) / 3
    quantile = stats.t.ppf((1 + CONFIDENCE) / 2, 2 * (prompts + seeds) ** 2 / seeds**2)
    assert np.isclose(row["upper"] - row["lower"], 2 * quantile * np.sqrt(prompts + seeds))


def test_where_seeds_dominate_three_of_them_leave_two_degrees_of_freedom():
    """Three seeds apart, prompts alike: two degrees of freedom, whose quantile is t = √2 p / √(1 − p²)."""
    errors = {key: np.ones_like(values) * values.mean() for key, values in _errors(lambda *_: 1.0).items()}
    errors = {key: values * np.array([0.8, 1.0, 1.2])[:, None, None] for key, values in errors.items()}
    row = _checks(_weighed(errors), SUCCEEDS).iloc[0]
    reach = np.sqrt(2) * CONFIDENCE / np.sqrt(1 - CONFIDENCE**2) * 0.2 / np.sqrt(3)
    assert np.isclose(row["upper"] - row["value"], reach * row["value"])


def test_longer_training_is_compared_at_one_length():
    """A longer-trained model that is better only because it is asked with more examples does not help."""

    errors = _errors(lambda *_: 1.0, prompts=2000)
    for values in errors.values():
        values *= 0.5 ** np.arange(9)
    verdicts = _verdicts(errors)
    # A spike of 1 doubles what lies beyond the shorter N alone.
    assert verdicts[LONGER_IS_BETTER.title] == UNDECIDED


def test_an_observation_that_no_model_can_show_says_so():
    errors = {key: values for key, values in _errors(lambda *_: 0.1).items() if key[:2] == ("fixed", 4)}
    verdicts = _verdicts(errors)
    without = {observation for observation, verdict in verdicts.items() if verdict == "no model"}
    assert without == {observation.title for observation in (*OBSERVATIONS[2:5],)}
    assert set(_verdicts({}).values()) == {"no model"}
    assert list(verdicts) == [observation.title for observation in OBSERVATIONS]


def test_a_spike_of_known_height_is_measured():
    table = _weighed(_errors(lambda *_: 0.1, spike=2.0, prompts=20_000), seed=1)
    spikes = _checks(table, SPIKES)
    # N = 4 has 5 and 6 beyond, N = 6 has 7 and 8 (9 is not tested): means of two independent errors over one.
    np.testing.assert_allclose(spikes["value"], 3.0, rtol=0.05)
    assert (spikes["outcome"] == MEETS).all()
    width = np.log(spikes["upper"] / spikes["lower"])
    np.testing.assert_allclose(width, 2 * stats.norm.ppf((1 + CONFIDENCE) / 2) * np.sqrt(1.5 / 20_000), rtol=0.1)


@pytest.mark.parametrize("seed", range(3))
def test_noise_alone_is_no_spike(seed):
    table = _weighed(_errors(lambda *_: 0.1, spike=0.0, seed=seed), seed)
    for observation, checks in ((SPIKES, 2 * 4 * 2), (SPIKES_SHRINK, 2 * 2)):
        spikes = table[table["observation"] == observation.title]
        # N = 8 was tested at its own length only, so it has no entry.
        assert len(_checks(table, observation)) == checks
        assert not (spikes["outcome"] == MEETS).any()
        assert _beside(table, observation)["count"] == 0


def test_an_outcome_is_the_side_on_which_its_interval_lies():
    table = _weighed(_errors(lambda family, n, panel: 0.1 * n * ZERO[panel] ** 0.5))
    lines = {observation.criterion: observation for observation in OBSERVATIONS}
    for row in table[table["criterion"].isin(lines)].to_dict("records"):
        line, above = lines[row["criterion"]].line, lines[row["criterion"]].above
        beyond = {row["lower"] > line: MEETS, row["upper"] < line: MISSES}.get(True, UNDECIDED)
        swapped = {MEETS: MISSES, MISSES: MEETS}.get(beyond, beyond)
        assert row["outcome"] == (beyond if above else swapped)
    assert set(table["outcome"]) == {MEETS, MISSES, UNDECIDED}


def test_the_same_errors_are_counted_at_a_second_line():
    """At 15 % of the zero estimator's no model fails by one line, and all do by the other."""
    table = _weighed(_errors(lambda family, n, panel: 0.15 * ZERO[panel], prompts=4000))
    verdicts = {entry["observation"]: entry["verdict"] for entry in summarise(table)}
    assert verdicts[FAILS.title] == "does not appear"
    fails, succeeds, short = (_beside(table, each) for each in (FAILS, SUCCEEDS, SHORT_OF_LEAST_SQUARES))
    assert (fails["count"], fails["total"]) == (6, 6)
    assert (succeeds["count"], succeeds["misses"]) == (0, 3)
    assert (short["count"], short["total"]) == (3, 3)


@pytest.mark.parametrize(("spike", "spikes"), [(0.6, 0), (2.0, 16)], ids=["a rise", "a spike"])
def test_a_rise_counts_as_a_spike_when_it_doubles_the_error(spike, spikes):
    table = _weighed(_errors(lambda *_: 0.1, spike=spike, prompts=4000))
    assert (_checks(table, SPIKES)["outcome"] == MEETS).all()
    assert _beside(table, SPIKES)["count"] == spikes


def test_a_ratio_that_falls_may_hide_a_rise_that_grows():
    """Errors at N in units of c³, spikes of c^(−1/2) times them: the ratio falls with c, the rise itself grows."""
    table = _weighed(_errors(lambda family, n, panel: 0.001 * ZERO[panel] ** 3, spike=9.0, spike_decay=0.5))
    assert (_checks(table, SPIKES_SHRINK)["outcome"] == MEETS).all()
    rise = _beside(table, SPIKES_SHRINK)
    assert (rise["misses"], rise["total"]) == (4, 4)
    own = table[table["where"].str.contains("rise itself")].set_index("where")["value"]
    np.testing.assert_allclose(own, 0.009 * (1 - 9**2.5), rtol=0.3)
    # Where only the spike depends on c, both fall.
    table = _weighed(_errors(lambda *_: 0.1, spike=9.0, spike_decay=0.5, prompts=2000))
    assert _beside(table, SPIKES_SHRINK)["count"] == 4


def test_the_limits_of_the_layer_are_those_of_theory():
    for family, said in (("random", "33% when trained on random"), ("fixed", "300% on the fixed")):
        test = RandomDiagonal.exponential(5)
        limit = expected_risk(training_covariates(family, 5), np.inf, np.inf, test) / 5
        assert f"{limit:.0%}" == said.split(maxsplit=1)[0]
        assert said in SUCCEEDS.criterion


def test_checks_are_counted_with_what_stays_open():
    assert counted({"count": 1, "misses": 2, "undecided": 1, "total": 4}) == "1 of 4, 2 missed, 1 undecided"
    assert counted({"count": 4, "misses": 0, "undecided": 0, "total": 4}) == "4 of 4"
    beside = {"said": "at a line of 10%", "count": 4, "misses": 0, "undecided": 0, "total": 4}
    entry = {"count": 0, "misses": 4, "undecided": 0, "total": 4, "beside": beside}
    assert counted(entry) == "0 of 4, 4 missed (at a line of 10%: 4 of 4)"
