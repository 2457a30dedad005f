"""Random problems and independent solvers that the flow is judged by."""

import numpy as np
from scipy.integrate import DOP853, Radau

from iclab.theory import LSAParameters


def random_covariance(rng, d, condition):
    spectrum = condition ** -np.sort(rng.uniform(size=d))
    spectrum[0], spectrum[-1] = 1.0, 1.0 / condition if d > 1 else 1.0
    Q = np.linalg.qr(rng.standard_normal((d, d)))[0]
    covariance = (Q * spectrum) @ Q.T * rng.uniform(0.3, 3)
    return (covariance + covariance.T) / 2


def random_theta(rng, d):
    root = rng.standard_normal((d, rng.integers(1, d + 1)))
    theta = root @ root.T
    return theta / np.linalg.norm(theta)


def start(u, U, a=None, b=None):
    zero = np.zeros(len(U))
    return LSAParameters.from_blocks(zero if a is None else a, u, U, zero if b is None else b)


def equation_27(covariance, n_train):
    """(27) of the paper as it stands: no eigenbasis, no clock, no conservation law."""
    d = len(covariance)
    gamma = (1 + 1 / n_train) * covariance + np.trace(covariance) / n_train * np.eye(d)
    left, square = gamma @ covariance, covariance @ covariance

    def velocity(t, y):
        u, U = y[0], y[1:].reshape(d, d)
        decay = left @ U @ covariance
        U_dot = -(u**2) * decay + u * square
        u_dot = -u * np.sum(decay * U) + np.sum(square * U)
        return np.concatenate([[u_dot], U_dot.ravel()])

    return velocity


def equation_52(gammas, zetas, xis):
    """(52) of the paper: random diagonal covariances."""
    d = len(xis)
    rates = np.array(zetas)
    rates[np.diag_indices(d)] = gammas

    def velocity(t, y):
        u, U = y[0], y[1:].reshape(d, d)
        U_dot = -rates * u**2 * U + u * np.diag(xis)
        u_dot = -u * np.sum(rates * U**2) + xis @ np.diagonal(U)
        return np.concatenate([[u_dot], U_dot.ravel()])

    return velocity


def integrate(velocity, u, U, t_end):
    """End point of DOP853 at tolerance 1e-13, without dense output: u, U."""
    y = np.concatenate([[u], np.asarray(U).ravel()])
    solver = DOP853(velocity, 0.0, y, t_end, rtol=1e-13, atol=1e-18)
    while solver.status == "running":
        solver.step()
    assert solver.status == "finished"
    return solver.y[0], solver.y[1:].reshape(np.shape(U))


def implicit(decay, drive, u, U, t_end):
    """Radau with the exact Jacobian on (u, diagonal, ∫u²) at tolerance 1e-11: u, diagonal of U."""
    d = len(drive)
    rates = np.diagonal(decay)
    off = np.array(U, dtype=float)
    np.fill_diagonal(off, 0.0)
    weights, speeds = (off**2).ravel(), decay.ravel()

    def velocity(t, y):
        u, D = y[0], y[1:-1]
        lost = np.sum(weights * speeds * np.exp(-2 * speeds * y[-1]))
        return np.concatenate([[-u * (lost + rates @ D**2) + drive @ D], -(u**2) * rates * D + drive * u, [u**2]])

    def jacobian(t, y):
        u, D = y[0], y[1:-1]
        fall = weights * speeds * np.exp(-2 * speeds * y[-1])
        J = np.zeros((d + 2, d + 2))
        J[0, 0] = -(fall.sum() + rates @ D**2)
        J[0, 1:-1] = -2 * u * rates * D + drive
        J[0, -1] = 2 * u * np.sum(fall * speeds)
        J[1:-1, 0] = -2 * u * rates * D + drive
        J[np.arange(1, d + 1), np.arange(1, d + 1)] = -(u**2) * rates
        J[-1, 0] = 2 * u
        return J

    y = np.concatenate([[u], np.diagonal(U), [0.0]])
    solver = Radau(velocity, 0.0, y, t_end, rtol=1e-11, atol=1e-15, jac=jacobian)
    while solver.status == "running":
        solver.step()
    assert solver.status == "finished"
    return solver.y[0], solver.y[1:-1]
