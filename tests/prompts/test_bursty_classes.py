"""Bursts of classes: what the context shows, what the query asks, and which label answers it."""

import numpy as np
import pytest

from iclab.foundations import InvalidInputError
from iclab.prompts import BurstyClasses, GaussianMixture

D, K, LABELS, N = 16, 40, 5, 8


def law(**changes):
    return BurstyClasses(D, K, LABELS, N, **{"burst": 2, "spread": 0.05, **changes})


def classes_of(prompts, means):
    """The nearest class of every item."""
    return np.linalg.norm(prompts.xs[:, :, None] - means, axis=3).argmin(axis=2)


@pytest.mark.parametrize("burst", [1, 2, 4, 8])
def test_every_class_shown_is_shown_in_a_burst_and_the_query_is_one_of_them(burst):
    given = law(burst=burst)
    prompts = given.sample(200, N + 1, seed=0)
    found = classes_of(prompts, given.means)
    np.testing.assert_array_equal(found % LABELS, prompts.ys)
    np.testing.assert_array_equal(prompts.ys, prompts.targets)
    for row in found:
        values, counts = np.unique(row[:N], return_counts=True)
        assert len(values) == N // burst
        assert (counts == burst).all()
        assert row[N] in values


@pytest.mark.parametrize(("changes", "share"), [({"shown": "absent"}, 0.0), ({"copies": 0.3}, 0.3)])
def test_copies_of_the_query(changes, share):
    given = law(**changes)
    found = classes_of(given.sample(2000, N + 1, seed=1), given.means)
    copied = (found[:, :N] == found[:, N:]).any(axis=1)
    assert abs(copied.mean() - share) <= 4 * np.sqrt(share * (1 - share) / 2000)


def test_swapped_labels_are_never_the_own_and_the_same_within_a_prompt():
    given = law(shown="swapped")
    prompts = given.sample(500, N + 1, seed=2)
    found = classes_of(prompts, given.means)
    np.testing.assert_array_equal(found % LABELS, prompts.targets)
    assert (prompts.ys != prompts.targets).all()
    same = found[:, :, None] == found[:, None]
    assert (prompts.ys[:, :, None] == prompts.ys[:, None])[same].all()
    # Each of the other labels as often.
    offsets = np.bincount((prompts.ys - prompts.targets)[:, N] % LABELS, minlength=LABELS)[1:]
    assert np.abs(offsets - 125).max() < 4 * np.sqrt(500 * 0.25 * 0.75)


def test_new_classes_are_new_and_labelled_alike_within_a_prompt():
    given = law(shown="new")
    prompts = given.sample(400, N + 1, seed=3)
    distances = np.linalg.norm(prompts.xs[:, :, None] - given.means, axis=3).min(axis=2)
    assert distances.min() > 0.2  # items lie within .05·|η| of their class, which is about .05
    close = np.linalg.norm(prompts.xs[:, :N] - prompts.xs[:, N:], axis=2) < 0.25
    assert (close.sum(axis=1) == 2).all()
    assert (prompts.ys[:, :N][close] == np.repeat(prompts.ys[:, N], 2)).all()


def test_items_have_unit_mean_square_and_lie_as_near_to_their_class_as_told():
    given = BurstyClasses(D, 500, LABELS, N, spread=0.5)
    prompts = given.sample(4000, N + 1, seed=4)
    squares = (prompts.xs**2).sum(axis=2).mean(axis=1)
    # Prompts share the classes, whose squares are part of it.
    expected = (np.square(given.means).sum(axis=1).mean() + 0.25) / 1.25
    assert abs(squares.mean() - expected) < 4 * squares.std() / np.sqrt(4000)
    more = BurstyClasses(D, 600, LABELS, N)
    np.testing.assert_array_equal(more.means[:500], given.means)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"burst": 3}, "multiple of the burst"),
        ({"n_pairs": 80}, "n_classes must be at least 41"),
        ({"shown": "novel"}, "shown"),
        ({"copies": 1.5}, "copies"),
    ],
)
def test_what_does_not_fit_is_refused(changes, said):
    with pytest.raises(InvalidInputError, match=said):
        BurstyClasses(D, K, LABELS, **{"burst": 2, **changes})


def test_there_is_one_query():
    with pytest.raises(InvalidInputError, match="at most 9"):
        law().sample(2, N + 2, seed=0)


class _SlotsFromTheNoise(BurstyClasses):
    def _slots(self, draws):
        draws.normals("x", 1)
        return super()._slots(draws)


class _CentresFromTheNoise(GaussianMixture):
    def centres(self, draws):
        return draws.normals("x", self.dimension)


@pytest.mark.parametrize("own", [_SlotsFromTheNoise(D, K, LABELS, N), _CentresFromTheNoise(D, 2.0)])
def test_a_law_that_draws_the_same_numbers_twice_is_refused(own):
    with pytest.raises(InvalidInputError, match="address of its own"):
        own.sample(2, N + 1, seed=0)
