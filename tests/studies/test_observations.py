"""The observations of Figure 1 are read correctly off errors whose answer is known."""

import numpy as np
import pytest

from incontext.studies.observations import (
    FAILS,
    LONGER_IS_BETTER,
    MEETS,
    MISSES,
    OBSERVATIONS,
    SPIKES,
    SUCCEEDS,
    UNDECIDED,
    counted,
    summarise,
    weigh,
)

LENGTHS = (4, 6, 8)
ZERO = {"identity": 1.0, "1·Exp(1)": 1.0, "4·Exp(1)": 4.0, "9·Exp(1)": 9.0}


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


def test_several_seeds_add_their_variance():
    """Mean ± 1.96 √(variance over prompts / B + variance over seeds / S), computed by hand."""
    errors = _errors(lambda family, n, panel: 0.5 * ZERO[panel], seeds=(0.5, 1.0, 1.5))
    table = _weighed(errors)
    row = table[(table["observation"] == FAILS.title) & (table["where"] == "fixedcov_N6 on 9·Exp(1)")].iloc[0]
    samples = errors["fixed", 6, "9·Exp(1)"][:, :, 6] / 9
    stderr = np.sqrt(np.var(samples.mean(axis=0), ddof=1) / 400 + np.var(samples.mean(axis=1), ddof=1) / 3)
    assert np.isclose(row["upper"] - row["lower"], 2 * 1.96 * stderr)


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
    spikes = table[table["observation"].str.contains("spikes")]
    # N = 4 has 5 and 6 beyond, N = 6 has 7 and 8 (9 is not tested): means of two independent errors over one.
    np.testing.assert_allclose(spikes["value"], 3.0, rtol=0.05)
    assert (spikes["outcome"] == MEETS).all()
    width = np.log(spikes["upper"] / spikes["lower"])
    np.testing.assert_allclose(width, 2 * 1.96 * np.sqrt(1.5 / 20_000), rtol=0.1)


@pytest.mark.parametrize("seed", range(3))
def test_noise_alone_is_no_spike(seed):
    table = _weighed(_errors(lambda *_: 0.1, spike=0.0, seed=seed), seed)
    spikes = table[table["observation"].str.contains("spike")]
    assert len(spikes) == 2 * 4 * 2 + 2 * 2  # N = 8 was tested at its own length only, so it has no entry
    assert not (spikes["outcome"] == MEETS).any()


def test_checks_are_counted_with_what_stays_open():
    assert counted({"count": 1, "misses": 2, "undecided": 1, "total": 4}) == "1 of 4, 2 missed, 1 undecided"
    assert counted({"count": 4, "misses": 0, "undecided": 0, "total": 4}) == "4 of 4"
