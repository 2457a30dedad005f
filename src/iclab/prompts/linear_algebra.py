"""Matrix roots and random orthogonal matrices."""

from __future__ import annotations

import numpy as np

from iclab.foundations import Matrices, Matrix


def symmetric_root(covariance: Matrix) -> Matrix:
    """The symmetric root of a positive semi-definite matrix.

    It exists for singular matrices too, and does not depend on an ordering of eigenvectors.
    """
    diagonal = np.diagonal(covariance)
    if np.count_nonzero(covariance) == np.count_nonzero(diagonal):
        return np.diag(np.sqrt(np.clip(diagonal, 0, None)))
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T


def orthogonal_from(normals: Matrices) -> Matrices:
    """Uniformly distributed orthogonal matrices from matrices of independent normal numbers.

    The QR factorisation with positive diagonal of R (Mezzadri 2007): the sign makes it unique, hence uniform.
    """
    q, r = np.linalg.qr(normals)
    signs = np.where(np.diagonal(r, axis1=-2, axis2=-1) < 0, -1.0, 1.0)
    return q * signs[..., None, :]
