"""Several heads of linear self-attention, with keys and queries merged or apart, and their exact population loss.

ŷ = Σ_h v_h w'Λ̂ W_h x_q with W_h = K_h'Q_h of rank r (apart) or any matrix (merged), at a = b = 0, where gradient flow
stays as ŷ is odd in w there. The loss (8) is a quadratic of the sum V = Σ_h v_h W_h alone,
L = ½⟨V − V*, A(V − V*)⟩ + min L with A V = E[ΓΛVΛ], so that heads feel one another only through the gradient
G = A(V − V*): the flow of head h is v̇ = −⟨G, W⟩, K̇ = −vQG', Q̇ = −vKG, or Ẇ = −vG.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from iclab.foundations import InvalidInputError, Matrix, check_integer, check_real, check_reals
from iclab.theory import CovarianceLaw, TrainLength, covariance_rule
from iclab.theory.covariance_rules import check_size
from iclab.theory.lengths import inverse_moments

_Array: TypeAlias = Float64[np.ndarray, "..."]
_MAXIMUM_DIMENSION = 40


@dataclass(frozen=True, eq=False)
class FactoredHeads:
    """H heads whose W_h = K_h'Q_h has separate keys and queries of rank r.

    Parameters
    ----------
    values : array_like, shape (..., H)
        v_h, the entry w22^PV of each head; leading axes are those of times.
    keys, queries : array_like, shape (..., H, r, d)
        K_h and Q_h.

    Raises
    ------
    InvalidInputError
        If the shapes do not fit.

    Examples
    --------
    >>> from iclab.flow import FactoredHeads
    >>> start = FactoredHeads.random(n_heads=3, rank=1, dimension=4, scale=0.01, seed=0)
    >>> start.values.shape, start.keys.shape
    ((3,), (3, 1, 4))
    """

    values: _Array
    keys: _Array
    queries: _Array

    def __init__(self, values: ArrayLike, keys: ArrayLike, queries: ArrayLike) -> None:
        v, key, query = check_reals(values, "values"), check_reals(keys, "keys"), check_reals(queries, "queries")
        if key.ndim < 3 or 0 in key.shape[-3:] or query.shape != key.shape or v.shape != key.shape[:-2]:
            raise InvalidInputError(
                "values, keys and queries must have shapes (..., H), (..., H, r, d) and (..., H, r, d), none of them "
                f"empty; {v.shape}, {key.shape} and {query.shape} were given."
            )
        for name, part in (("values", v), ("keys", key), ("queries", query)):
            object.__setattr__(self, name, part)

    @classmethod
    def random(cls, n_heads: int, rank: int, dimension: int, scale: float, seed: int) -> FactoredHeads:
        """All weights normal with standard deviation ``scale``: values (H,), keys and queries (H, r, d).

        The start of Zhang, Singh, Latham and Saxe (ICML 2025); not in the paper.
        """
        shape = tuple(
            check_integer(size, name, minimum=1)
            for size, name in ((n_heads, "n_heads"), (rank, "rank"), (dimension, "dimension"))
        )
        size = check_real(scale, "scale", above=0.0)
        rng = np.random.default_rng(check_integer(seed, "seed", minimum=0))
        return cls(*(size * rng.standard_normal(part) for part in (shape[:1], shape, shape)))

    @property
    def dimension(self) -> int:
        """Input dimension d."""
        return self.keys.shape[-1]

    @property
    def vector(self) -> _Array:
        """All weights in a row, shape (..., H + 2Hrd): θ of (9) for these heads."""
        return _row((self.values, 1), (self.keys, 3), (self.queries, 3))

    def from_vectors(self, vectors: _Array) -> FactoredHeads:
        """The θ of (9) as weights, from rows of shape (..., H + 2Hrd); leading axes are kept."""
        H, r, d = self.keys.shape[-3:]
        values, keys, queries = np.split(vectors, [H, H + H * r * d], axis=-1)
        lead = vectors.shape[:-1]
        return FactoredHeads(values, keys.reshape(*lead, H, r, d), queries.reshape(*lead, H, r, d))

    @property
    def product(self) -> _Array:
        """V = Σ_h v_h K_h'Q_h, shape (..., d, d): ŷ = w'Λ̂Vx_q, (6) at a = b = 0."""
        weighted = self.values[..., None, None] * self.keys
        flat = (*weighted.shape[:-3], -1, self.dimension)
        return np.swapaxes(weighted.reshape(flat), -1, -2) @ self.queries.reshape(flat)

    def pull(self, gradient: _Array) -> FactoredHeads:
        """Derivatives of (8) in all weights from G = ∂L/∂V, shape (..., d, d): ⟨G, K'Q⟩, vQG' and vKG."""
        G, v = gradient[..., None, :, :], self.values[..., None, None]
        forward = self.keys @ G
        values = np.sum(forward * self.queries, axis=(-2, -1))
        return FactoredHeads(values, v * (self.queries @ np.swapaxes(G, -1, -2)), v * forward)

    def rotated(self, rotation: Matrix) -> FactoredHeads:
        """The weights in the coordinates Q'x, Q = ``rotation`` of shape (d, d), in which Λ of Theorem 4 is diagonal."""
        return FactoredHeads(self.values, self.keys @ rotation, self.queries @ rotation)

    @property
    def balance(self) -> _Array:
        """v² − ‖K‖_F² and the entries of KK' − QQ', per head, shape (..., H, 1 + r²): conserved, as (42) is."""
        difference = self.keys @ np.swapaxes(self.keys, -1, -2) - self.queries @ np.swapaxes(self.queries, -1, -2)
        first = self.values**2 - np.sum(self.keys**2, axis=(-2, -1))
        return np.concatenate([first[..., None], difference.reshape(*first.shape, -1)], axis=-1)


@dataclass(frozen=True, eq=False)
class MergedHeads:
    """H heads that each have one matrix W_h in place of K_h'Q_h, as in the paper's (3).

    Parameters
    ----------
    values : array_like, shape (..., H)
        v_h, the entry w22^PV of each head; leading axes are those of times.
    cores : array_like, shape (..., H, d, d)
        W_h, the block W11^KQ of each head.

    Raises
    ------
    InvalidInputError
        If the shapes do not fit.
    """

    values: _Array
    cores: _Array

    def __init__(self, values: ArrayLike, cores: ArrayLike) -> None:
        v, core = check_reals(values, "values"), check_reals(cores, "cores")
        square = core.ndim >= 3 and core.shape[-1] == core.shape[-2]
        if not square or 0 in core.shape[-3:] or v.shape != core.shape[:-2]:
            raise InvalidInputError(
                "values and cores must have shapes (..., H) and (..., H, d, d), neither of them empty; "
                f"{v.shape} and {core.shape} were given."
            )
        object.__setattr__(self, "values", v)
        object.__setattr__(self, "cores", core)

    @classmethod
    def random(cls, n_heads: int, dimension: int, scale: float, seed: int) -> MergedHeads:
        """All weights normal with standard deviation ``scale``: values (H,) and cores (H, d, d); not in the paper."""
        H = check_integer(n_heads, "n_heads", minimum=1)
        d = check_integer(dimension, "dimension", minimum=1)
        size = check_real(scale, "scale", above=0.0)
        rng = np.random.default_rng(check_integer(seed, "seed", minimum=0))
        return cls(size * rng.standard_normal(H), size * rng.standard_normal((H, d, d)))

    @property
    def dimension(self) -> int:
        """Input dimension d."""
        return self.cores.shape[-1]

    @property
    def vector(self) -> _Array:
        """All weights in a row, shape (..., H + Hd²): θ of (9) for these heads."""
        return _row((self.values, 1), (self.cores, 3))

    def from_vectors(self, vectors: _Array) -> MergedHeads:
        """The θ of (9) as weights, from rows of shape (..., H + Hd²); leading axes are kept."""
        H, d = self.values.shape[-1], self.dimension
        return MergedHeads(vectors[..., :H], vectors[..., H:].reshape(*vectors.shape[:-1], H, d, d))

    @property
    def product(self) -> _Array:
        """V = Σ_h v_h W_h, shape (..., d, d): ŷ = w'Λ̂Vx_q, (6) at a = b = 0."""
        return np.sum(self.values[..., None, None] * self.cores, axis=-3)

    def pull(self, gradient: _Array) -> MergedHeads:
        """Derivatives of (8) in all weights from G = ∂L/∂V, shape (..., d, d): ⟨G, W⟩ and vG, as in Lemma 10."""
        G = gradient[..., None, :, :]
        return MergedHeads(np.sum(self.cores * G, axis=(-2, -1)), self.values[..., None, None] * G)

    def rotated(self, rotation: Matrix) -> MergedHeads:
        """The weights in the coordinates Q'x, Q = ``rotation`` of shape (d, d), in which Λ of Theorem 4 is diagonal."""
        return MergedHeads(self.values, rotation.T @ self.cores @ rotation)

    @property
    def balance(self) -> _Array:
        """v_h v_k − ⟨W_h, W_k⟩ for every pair of heads, shape (..., H, H): conserved, (42) for one head."""
        v = self.values
        return v[..., :, None] * v[..., None, :] - np.einsum("...hij,...kij->...hk", self.cores, self.cores)


def _row(*parts: tuple[_Array, int]) -> _Array:
    """Arrays side by side in rows, each with its last axes made one and its leading ones kept."""
    return np.concatenate([part.reshape(*part.shape[: part.ndim - axes], -1) for part, axes in parts], axis=-1)


class HeadsLoss:
    """The population loss (8), L = ½E(ŷ − w'x_q)², of heads as a quadratic of V; in the common eigenbasis if any.

    Parameters
    ----------
    covariates : Gaussian, RandomDiagonal or any law of ``iclab.theory.covariance_rule``
        Law of Λ, in dimension d; at most 40 where the covariances do not commute.
    n_train : int, math.inf or AllPositions
        Length N of training prompts.
    noise_variance : float
        s² ≥ 0, variance of the noise on the labels of the examples.

    Attributes
    ----------
    dimension : int
        d.
    rotation : ndarray, shape (d, d), or None
        Q of the coordinates Q'x in which V is meant; None where they are those of x.
    commuting : bool
        Whether the covariances commute, so that every entry of V counts for itself.
    decay : ndarray, shape (d, d)
        k_ij of L = ½Σ k_ij (V_ij − V*_ij)² + min L; zeros where the covariances do not commute.
    target : ndarray, shape (d, d)
        V*, the minimiser, in these coordinates.
    minimum : float
        min L.
    """

    def __init__(self, covariates: CovarianceLaw, n_train: TrainLength, noise_variance: float = 0.0) -> None:
        rule = covariance_rule(covariates)
        inverse, _ = inverse_moments(n_train)
        noise = check_real(noise_variance, "noise_variance", minimum=0.0)
        self.dimension = d = rule.dimension
        l = rule.spectra  # noqa: E741
        check_size(float(np.abs(l).max()))
        if noise > 1e80:
            raise InvalidInputError(f"noise_variance must be at most 1e80; {noise:g} was given: change the units.")
        trace = l.sum(-1)
        p = (1 + inverse) * l**2 + inverse * (trace + noise)[:, None] * l  # the spectra of ΓΛ
        self.rotation = rule.rotations if rule.commuting else None
        decay: Matrix = np.zeros((d, d))
        self._operator: np.ndarray | None = None
        if rule.commuting:
            decay = np.einsum("n,ni,nj->ij", rule.weights, p, l)
            drive = np.diag(rule.weights @ l**2)
            target = np.divide(drive, decay, out=np.zeros((d, d)), where=decay > 0)
        else:
            if d > _MAXIMUM_DIMENSION:
                raise InvalidInputError(
                    f"covariates must have at most {_MAXIMUM_DIMENSION} dimensions where covariances do not commute; "
                    f"{d} were given."
                )
            Q = np.broadcast_to(np.eye(d), (len(l), d, d)) if rule.rotations is None else rule.rotations
            left, right = ((Q * part[:, None, :]) @ np.swapaxes(Q, -1, -2) for part in (p, l))
            operator = np.einsum("n,nik,nlj->ijkl", rule.weights, left, right).reshape(d * d, d * d)
            drive = np.einsum("n,nij,njk->ik", rule.weights, right, right)
            values, vectors = np.linalg.eigh(operator)
            used = values > d * d * np.finfo(np.float64).eps * values[-1]
            along = vectors[:, used]
            target = (along @ ((along.T @ drive.ravel()) / values[used])).reshape(d, d)
            self._operator = operator
        self.decay, self.target = decay, target
        self.commuting = rule.commuting
        self.minimum = float(rule.weights @ trace - np.vdot(drive, self.target)) / 2

    @property
    def learned_curvature(self) -> float:
        """About the largest curvature of (8) in the weights of heads that have learned, which makes flows stiff.

        3k_ii V_ii^{4/3} for V_ii = vkq with v² = k² = q² where the covariances commute.
        """
        sizes = np.abs(np.diagonal(self.target)) ** (4 / 3)
        if self._operator is None:
            return 3 * float((np.diagonal(self.decay) * sizes).max())
        return 3 * float(np.linalg.eigvalsh(self._operator)[-1] * sizes.max())

    def slope(self, product: _Array) -> _Array:
        """∂L/∂V = A(V − V*), as in Lemma 10, at V and with its shape (..., d, d)."""
        away = product - self.target
        if self._operator is None:
            return self.decay * away
        d = self.dimension
        return (away.reshape(*away.shape[:-2], d * d) @ self._operator.T).reshape(away.shape)

    def excess(self, product: _Array) -> _Array:
        """L − min L, a sum of squares as in Lemma 24, at V of shape (..., d, d); shape (...)."""
        return np.sum((product - self.target) * self.slope(product), axis=(-2, -1)) / 2

    def check(self, dimension: int) -> None:
        """Raise an :class:`InvalidInputError` if weights as in (3) have another dimension than the covariates."""
        if dimension != self.dimension:
            raise InvalidInputError(
                f"initial must have the dimension {self.dimension} of the covariates; dimension {dimension} was given."
            )
