"""Ridge regression in closed form, its penalty chosen by cross-validation from one decomposition."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

# Penalties, relative to the largest squared singular value; the smallest leaves exact relations exact.
PENALTIES = 10.0 ** np.arange(-16, 3)
# Below this share a sample's own weight leaves nothing to be tested by.
_OWN = 1e-9


@dataclass(frozen=True, eq=False)
class Fold:
    """Predictions for samples that were left out.

    Attributes
    ----------
    predicted, centred : ndarray, shape (m, k)
        What is predicted for them, and the targets less the mean of those that were learned from.
    penalties : ndarray, shape (k,)
        Chosen for each target, relative to the largest squared singular value.
    """

    predicted: Float64[np.ndarray, "m k"]
    centred: Float64[np.ndarray, "m k"]
    penalties: Float64[np.ndarray, " k"]


def leave_one_out(
    features: Float64[np.ndarray, "n f"], targets: Float64[np.ndarray, "n k"], train: np.ndarray, groups: np.ndarray
) -> Fold:
    """Ridge from the samples ``train`` to the others, with an intercept.

    The penalty of each group of targets has the smallest squared leave-one-out error e_i/(1 − h_i), summed over the
    group, where h_i is the weight of a sample in its own prediction (Allen 1974); all follow from one singular value
    decomposition.

    Parameters
    ----------
    features, targets : ndarray, shapes (n, f) and (n, k)
        Samples.
    train : ndarray of bool, shape (n,)
        Those that are learned from.
    groups : ndarray of int, shape (k,)
        Which targets share a penalty, numbered from 0.
    """
    x_mean, y_mean = features[train].mean(axis=0), targets[train].mean(axis=0)
    x, y = features[train] - x_mean, targets[train] - y_mean
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    top = s[0] ** 2 if len(s) and s[0] > 0 else 1.0
    rotated = u.T @ y
    best = np.full(groups.max() + 1, np.inf)
    chosen = np.full(len(best), PENALTIES[-1])
    for penalty in PENALTIES:
        shrunk = s**2 / (s**2 + penalty * top)
        left = 1 - 1 / len(x) - np.square(u) @ shrunk  # 1 − h_i, of the intercept too
        if left.min() < _OWN:
            continue
        errors = np.square((y - (u * shrunk) @ rotated) / left[:, None]).sum(axis=0)
        total = np.bincount(groups, errors)
        better = total < best
        best[better], chosen[better] = total[better], penalty
    penalties = chosen[groups]
    weights = vt.T @ (s[:, None] / (s[:, None] ** 2 + penalties * top) * rotated)
    others = ~train
    return Fold((features[others] - x_mean) @ weights, targets[others] - y_mean, penalties)


def validated(
    features: Float64[np.ndarray, "n f"], targets: Float64[np.ndarray, " n"], train: np.ndarray, check: np.ndarray
) -> Float64[np.ndarray, " n"]:
    """Ridge with an intercept from the samples ``train``, at the penalty that is best on ``check``, for all samples.

    For samples that come in groups, of which ``train`` and ``check`` hold whole ones.
    """
    x_mean, y_mean = features[train].mean(axis=0), targets[train].mean()
    u, s, vt = np.linalg.svd(features[train] - x_mean, full_matrices=False)
    rotated = u.T @ (targets[train] - y_mean)
    top = s[0] ** 2 if len(s) and s[0] > 0 else 1.0
    paths = vt.T @ (s / (s**2 + PENALTIES[:, None] * top) * rotated).T  # (f, penalties)
    errors = np.square((features[check] - x_mean) @ paths + y_mean - targets[check][:, None]).sum(axis=0)
    return (features - x_mean) @ paths[:, errors.argmin()] + y_mean
