"""Which inputs lie nearest to a query, decided as exact arithmetic would."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from jaxtyping import Float64, Int64

# Differences held at once.
_BLOCK = 1 << 20


def nearest_rows(
    xs: Float64[np.ndarray, "B P d"],
    queries: Float64[np.ndarray, "B P d"],
    prompts: Int64[np.ndarray, " R"],
    positions: Int64[np.ndarray, " R"],
    k: int,
) -> Int64[np.ndarray, "R k"]:
    """The k examples nearest to the queries at some positions, in any order; at equal distance the earlier ones.

    Squared distances are sums of squares of differences, each in a unit of its own so that nothing overflows or
    vanishes. Where rounding could change which examples are among the k, those in question are compared as rational
    numbers.

    Parameters
    ----------
    xs, queries : ndarray, shape (B, P, d)
        Of all prompts.
    prompts, positions : ndarray of int, shape (R,)
        Which queries; each has more than k examples before it.
    k : int
        Number of neighbours.
    """
    found = np.empty((len(prompts), k), dtype=np.int64)
    size = max(1, _BLOCK // (xs.shape[1] * xs.shape[2]))
    for start in range(0, len(prompts), size):
        some = slice(start, start + size)
        found[some] = _of_block(xs, queries, prompts[some], positions[some], k)
    return found


def _of_block(
    xs: Float64[np.ndarray, "B P d"],
    queries: Float64[np.ndarray, "B P d"],
    prompts: Int64[np.ndarray, " R"],
    positions: Int64[np.ndarray, " R"],
    k: int,
) -> Int64[np.ndarray, "R k"]:
    last = int(positions.max())
    with np.errstate(over="ignore"):
        differences = xs[prompts, :last] - queries[prompts, positions][:, None]  # (R, n, d)
    sizes = np.abs(differences).max(axis=2)
    _, units = np.frexp(np.where(np.isfinite(sizes), sizes, 1.0))
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        squares = (np.ldexp(differences, -units[..., None]) ** 2).sum(axis=2)
    parts, exponents = np.frexp(np.where(np.isfinite(squares), squares, 1.0))
    exponents = np.where(sizes == 0, -100_000, exponents + 2 * units)
    exponents[~np.isfinite(sizes)] = 100_000  # differences beyond the largest double: compared as rationals
    later = np.arange(last) >= positions[:, None]
    exponents[later] = 1_000_000
    order = np.lexsort((parts, exponents), axis=1)
    inside, outside = order[:, k - 1], order[:, k]
    row = np.arange(len(order))
    # Relative rounding errors of a difference twice, of squares and of their sum.
    doubt = (xs.shape[2] + 8) * np.finfo(np.float64).eps
    apart = np.clip(exponents[row, outside] - exponents[row, inside], 0, 4)
    near = np.ldexp(parts[row, outside], apart) <= parts[row, inside] * (1 + 4 * doubt)
    near |= np.abs(exponents[row, inside]) == 100_000
    near &= exponents[row, outside] < 1_000_000
    for r in np.flatnonzero(near):
        band = _in_doubt(parts[r], exponents[r], int(inside[r]), doubt)
        points, query = xs[prompts[r], band], queries[prompts[r], positions[r]]
        if (points == points[0]).all():
            continue  # the same input: the earlier ones stand first already
        exact = [_squared(point, query) for point in points]
        first = int(np.argmax(np.isin(order[r], band)))
        order[r, first : first + len(band)] = band[sorted(range(len(band)), key=lambda i: (exact[i], i))]
    return order[:, :k]


def _squared(point: Float64[np.ndarray, " d"], query: Float64[np.ndarray, " d"]) -> Fraction:
    return sum(
        ((Fraction(a) - Fraction(b)) ** 2 for a, b in zip(point.tolist(), query.tolist(), strict=True)), Fraction()
    )


def _in_doubt(
    parts: Float64[np.ndarray, " n"], exponents: Int64[np.ndarray, " n"], place: int, doubt: float
) -> Int64[np.ndarray, " m"]:
    """Examples whose squared distance may be that of the example at ``place``, in their order."""
    if abs(exponents[place]) == 100_000:
        return np.flatnonzero(exponents == exponents[place])
    shift = exponents - exponents[place]
    ratio = np.ldexp(parts, np.clip(shift, -4, 4)) / parts[place]
    return np.flatnonzero(np.abs(ratio - 1) <= 8 * doubt)
