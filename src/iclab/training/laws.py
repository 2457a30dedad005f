"""Laws of inputs that make what is trained on a mixture of them robust, as specifications of dimension d."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

Law: TypeAlias = dict[str, Any]


def plain(dimension: int) -> Law:
    """N(0, I)."""
    return {"kind": "gaussian", "dimension": dimension}


def orthants(dimension: int) -> Law:
    """N(0, I) folded into a random orthant."""
    return {"kind": "orthant", "dimension": dimension}


def low_rank(dimension: int) -> Law:
    """Inputs in a random subspace of d/2 dimensions, of variance d in all (Garg et al. 2022, ``half_subspace``)."""
    rank = max(1, dimension // 2)
    return {"kind": "random_rotation", "spectrum": [dimension / rank] * rank + [0.0] * (dimension - rank)}


def skewed(dimension: int) -> Law:
    """Variances ∝ 1/i² in random directions, d in all (Garg et al. 2022, ``skewed``), to six digits."""
    shares = 1 / np.arange(1, dimension + 1) ** 2
    spectrum = [float(f"{each:.6g}") for each in dimension * shares / shares.sum()]
    return {"kind": "random_rotation", "spectrum": spectrum}


def scales(dimension: int, largest: float) -> Law:
    """N(0, I) times a factor between 1/``largest`` and ``largest``."""
    return {"kind": "random_scale", "covariates": plain(dimension), "largest": largest}


def rotations(dimension: int) -> Law:
    """Λ = diag(λ), λ_i ~ Exp(1), in random directions."""
    return {"kind": "rotated", "covariates": {"kind": "random_diagonal", "dimension": dimension}}


def mixture(members: Sequence[tuple[float, Law]]) -> Law:
    """One of these laws in every prompt, each with its share."""
    shares, laws = zip(*members, strict=True)
    return {"kind": "mixture", "members": laws, "probabilities": shares}
