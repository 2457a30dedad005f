"""The observations of Figure 1 are read correctly off errors whose answer is known."""

import numpy as np
import pytest

from incontext.studies.observations import BEATS_LSA, OBSERVATIONS, SUCCEEDS, summarise, weigh

LENGTHS = (4, 6, 8)
# Of the layer trained on random covariances, at c = 1: 1 − (E λ²)²/E λ³ = 1 − 4/6.
LIMIT = 1 / 3
ZERO = {"identity": 1.0, "1·Exp(1)": 1.0, "4·Exp(1)": 4.0, "9·Exp(1)": 9.0}


def _errors(level, *, spike=1.0, spike_decay=0.0, prompts=400, seed=0):
    """Exponential errors around ``level(family, n, panel)``; beyond N they are multiplied by the spike."""
    rng = np.random.default_rng(seed)
    errors = {}
    for family in ("fixed", "random"):
        for n in LENGTHS:
            for panel, zero in ZERO.items():
                means = np.full(9, level(family, n, panel))
                means[n + 1 :] *= 1 + spike * (zero**-spike_decay)
                errors[family, n, panel] = rng.exponential(size=(prompts, 9)) * means
    return errors


def _weighed(errors, seed=0):
    return weigh(errors, ZERO, LENGTHS, seed, lsa_limit=LIMIT)


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
    appearing = {observation for observation, verdict in verdicts.items() if verdict != "does not appear"}
    assert appearing == {SUCCEEDS.title, BEATS_LSA.title}


def test_a_model_between_success_and_the_limit_of_the_layer_does_better_than_it_without_success():
    verdicts = _verdicts(_errors(lambda *_: 0.29, prompts=20_000))
    assert (verdicts[SUCCEEDS.title], verdicts[BEATS_LSA.title]) == ("does not appear", "appears")


def test_an_observation_that_no_model_can_show_says_so():
    errors = {key: values for key, values in _errors(lambda *_: 0.1).items() if key[:2] == ("fixed", 4)}
    verdicts = _verdicts(errors)
    without = {observation for observation, verdict in verdicts.items() if verdict == "no model"}
    assert without == {observation.title for observation in (*OBSERVATIONS[3:6],)}
    assert set(_verdicts({}).values()) == {"no model"}
    assert list(verdicts) == [observation.title for observation in OBSERVATIONS]


def test_a_spike_of_known_height_is_measured():
    table = _weighed(_errors(lambda *_: 0.1, spike=2.0, prompts=20_000), seed=1)
    spikes = table[table["observation"].str.contains("spikes")]
    # The relative standard error of each mean is 1/√20 000 = 0.7 %, of a ratio 1 %; the larger of two adds one more.
    np.testing.assert_allclose(spikes["value"], 3.0, rtol=0.05)
    assert spikes["appears"].all()
    width = (spikes["upper"] - spikes["lower"]) / spikes["value"]
    np.testing.assert_allclose(width, 2 * 1.96 * np.sqrt(1.7 / 20_000), rtol=0.25)


@pytest.mark.parametrize("seed", range(3))
def test_noise_alone_is_no_spike(seed):
    table = _weighed(_errors(lambda *_: 0.1, spike=0.0, seed=seed), seed)
    spikes = table[table["observation"].str.contains("spike")]
    assert len(spikes) == 2 * 4 * 2 + 2 * 2  # N = 8 was tested at its own length only, so it has no entry
    assert not spikes["appears"].any()
