"""Theorems 4 and 8 along a whole trajectory: u, U and the loss from Assumption 3, beside their bounds and limits.

Two problems: a fixed anisotropic Λ (a power law in a random eigenbasis) and random Exponential(1) covariances. For
each, the loss stands beside the bound e^{−μt}(L(0) − min L) of the paper and beside the exact asymptotic rate.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from iclab.flow import Trajectory, gradient_flow
from iclab.foundations import Draws, Matrix, check_integer, check_real
from iclab.prompts import Gaussian, RandomDiagonal
from iclab.studies.record import StudyRecord
from iclab.studies.store import Store
from iclab.theory import PopulationLoss, assumption3, certificate, flow_coefficients, minimizer, random_theta

NAME = "gradient_flow"
FIXED, RANDOM = "fixed covariance", "random covariances"
# Between these parts of the initial excess the late rate is measured.
_LATE = (1e-16, 1e-20)


def run(
    *,
    store: Store,
    progress: Callable[[str, int, int], None],
    dimension: int = 5,
    n_train: int = 20,
    exponent: float = 1.0,
    relative_scale: float = 0.1,
    n_times: int = 240,
    seed: int = 0,
) -> StudyRecord:
    """Follow the flow on both problems.

    Parameters
    ----------
    store : Store
        Finished cases.
    progress : callable
        Called with (label, done, total).
    dimension, n_train : int
        d ≥ 2 and N.
    exponent : float
        Λ has the eigenvalues i^{−exponent}, i = 1, …, d, scaled to trace d, in a random eigenbasis.
    relative_scale : float
        σ as a part of the paper's threshold, in (0, 1).
    n_times : int
        Points of time, from 0 to where 1e-12 of the initial excess is left; spaced as powers.
    seed : int
        Of the eigenbasis and of ΘΘ'.

    Returns
    -------
    StudyRecord
        Table ``trajectory`` (long): case, t, quantity, row, col, value, with quantities ``u``, ``loss``, ``excess``,
        ``pl_bound`` (e^{−μt}(L(0) − min L)), ``asymptote`` (exact rate, through the last point), ``pl_ratio``
        (‖∇L‖²/(μ(L − min L)), at least 1 by (30)/(62)), ``balance`` (u² − ‖U‖_F²), and ``U``, ``uU`` by row and
        col in the basis where the covariances are diagonal (largest eigenvalue first for the fixed one); row and
        col are −1 for scalars. Table ``limits``: case, quantity, row, col, reached, theorem. Table ``certificates``:
        case, quantity, value.
    """
    settings = {
        "dimension": check_integer(dimension, "dimension", minimum=2),
        "n_train": check_integer(n_train, "n_train", minimum=1),
        "exponent": check_real(exponent, "exponent", minimum=0.0),
        "relative_scale": check_real(relative_scale, "relative_scale", above=0.0),
        "n_times": check_integer(n_times, "n_times", minimum=10),
        "seed": check_integer(seed, "seed", minimum=0),
    }
    cases = (FIXED, RANDOM)
    parts: dict[str, list[pd.DataFrame]] = {"trajectory": [], "limits": [], "certificates": []}
    for done, case in enumerate(cases):
        progress(case, done, len(cases))
        whole = store.table(NAME, {**settings, "case": case}, lambda case=case: _follow(case, settings))
        for table, rows in whole.groupby("table"):
            kept = rows.drop(columns="table").dropna(axis="columns", how="all")
            parts[str(table)].append(kept.reset_index(drop=True))
    progress("done", len(cases), len(cases))
    tables = {name: pd.concat(frames, ignore_index=True) for name, frames in parts.items()}
    for name in ("trajectory", "limits"):
        tables[name] = tables[name].astype({"row": "int64", "col": "int64"})
    conclusions = {case: _conclusions(case, tables) for case in cases}
    facts = {
        "settings": settings,
        "conclusions": conclusions,
        "sentences": [sentence for case in cases for sentence in _sentences(case, conclusions[case])],
    }
    return StudyRecord(NAME, "Gradient flow from Assumption 3 (Theorems 4 and 8)", tables, facts)


def problem(case: str, settings: dict[str, Any]) -> tuple[Gaussian | RandomDiagonal, Matrix]:
    """The covariates of a case and ΘΘ'."""
    d, seed = settings["dimension"], settings["seed"]
    theta = random_theta(d, seed)
    if case == RANDOM:
        return RandomDiagonal.exponential(d), theta
    spectrum = np.arange(1.0, d + 1) ** -settings["exponent"]
    spectrum *= d / spectrum.sum()
    gaussian = Draws(seed, "verification").shared("covariance").standard_normal((d, d))
    rotation, triangular = np.linalg.qr(gaussian)
    rotation *= np.sign(np.diagonal(triangular))
    covariance = (rotation * spectrum) @ rotation.T
    return Gaussian((covariance + covariance.T) / 2), theta


def _follow(case: str, settings: dict[str, Any]) -> pd.DataFrame:
    covariates, theta = problem(case, settings)
    n_train = settings["n_train"]
    scale = settings["relative_scale"] * certificate(covariates, n_train, theta, 1.0).threshold
    proof = certificate(covariates, n_train, theta, scale)
    trajectory = gradient_flow(assumption3(theta, scale), covariates, n_train, math.inf)
    span = trajectory.time_to(1 - 1e-12)
    times = np.concatenate([[0.0], np.geomspace(span / 1e4, span, settings["n_times"] - 1)])

    excess = trajectory.excess(times)
    _, u, U, _ = trajectory.blocks(times)
    rotation = _descending(flow_coefficients(covariates, n_train).rotation)
    U = U if rotation is None else rotation.T @ U @ rotation
    gap = proof.initial_loss - proof.minimum_loss
    loss = PopulationLoss(covariates, n_train)
    slopes = np.array([np.sum(loss.gradient(point).vector ** 2) for point in trajectory.parameters(times)])
    scalars = {
        "u": u,
        "loss": trajectory.loss(times),
        "excess": excess,
        "pl_bound": gap * np.exp(-proof.pl_constant * times),
        "asymptote": excess[-1] * np.exp(-proof.asymptotic_rate * (times - span)),
        "pl_ratio": slopes / (proof.pl_constant * excess),
        "balance": u**2 - np.sum(U**2, axis=(-2, -1)),
    }
    frames = [_long("trajectory", case, times, name, values) for name, values in scalars.items()]
    frames += [
        _long("trajectory", case, times, name, values) for name, values in (("U", U), ("uU", u[:, None, None] * U))
    ]

    theorem = minimizer(covariates, n_train).blocks
    reached = trajectory.parameters(math.inf).blocks
    pairs = [("u", -1, -1, reached[1], theorem[1])]
    matrices = [x if rotation is None else rotation.T @ x @ rotation for x in (reached[2], theorem[2])]
    for i, j in np.ndindex(matrices[0].shape):
        pairs.append(("U", i, j, float(matrices[0][i, j]), float(matrices[1][i, j])))
    limits = pd.DataFrame(pairs, columns=["quantity", "row", "col", "reached", "theorem"])
    frames.append(limits.assign(case=case, table="limits"))

    numbers = {key: float(value) for key, value in asdict(proof).items()}
    numbers |= {"scale": scale, "late_rate": _late_rate(trajectory, float(excess[0]))}
    numbers |= {f"time_to_{percent}": trajectory.time_to(percent / 100) for percent in (50, 90, 99)}
    certificates = pd.DataFrame({"quantity": list(numbers), "value": list(numbers.values())})
    frames.append(certificates.assign(case=case, table="certificates"))
    return pd.concat(frames, ignore_index=True)


def _descending(rotation: Matrix | None) -> Matrix | None:
    return None if rotation is None else rotation[:, ::-1]


def _long(table: str, case: str, times: np.ndarray, quantity: str, values: np.ndarray) -> pd.DataFrame:
    """One quantity over time, a row per time and entry."""
    if values.ndim == 1:
        row, col = np.full(len(times), -1), np.full(len(times), -1)
    else:
        d = values.shape[-1]
        row, col = (np.tile(index.ravel(), len(times)) for index in np.indices((d, d)))
        times = np.repeat(times, d * d)
    return pd.DataFrame(
        {
            "table": table,
            "case": case,
            "t": times,
            "quantity": quantity,
            "row": row,
            "col": col,
            "value": values.ravel(),
        }
    )


def _late_rate(trajectory: Trajectory, initial: float) -> float:
    """Slope of −log(L − min L) between two late times."""
    early, late = (_time_of(trajectory, part * initial) for part in _LATE)
    return float(np.log(trajectory.excess(early) / trajectory.excess(late)) / (late - early))


def _time_of(trajectory: Trajectory, excess: float) -> float:
    """Time when L − min L falls to ``excess``, for parts of the gain that 1 − part cannot express."""
    low, high = 0.0, 1.0
    while trajectory.excess(high) > excess:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if trajectory.excess(middle) > excess else (low, middle)
    return high


def _conclusions(case: str, tables: dict[str, pd.DataFrame]) -> dict[str, Any]:
    path = tables["trajectory"].query("case == @case")
    scalars = path[path["row"] < 0].pivot_table(index="t", columns="quantity", values="value").sort_index()
    numbers = tables["certificates"].query("case == @case").set_index("quantity")["value"]
    limits = tables["limits"].query("case == @case")
    late = scalars.iloc[1:]  # at t = 0 the bound is an equality
    norm = float(np.linalg.norm(limits["theorem"]))
    end = path[path["t"] == path["t"].max()]
    last_u = end[end["quantity"] == "U"].sort_values(["row", "col"])["value"].to_numpy()
    theorem = limits[limits["quantity"] == "U"].sort_values(["row", "col"])["theorem"].to_numpy()
    return {
        "scale": float(numbers["scale"]),
        "threshold": float(numbers["threshold"]),
        "pl_constant": float(numbers["pl_constant"]),
        "bound_holds": bool((late["excess"] <= late["pl_bound"]).all()),
        "times_within_bound": int((late["excess"] <= late["pl_bound"]).sum()),
        "positive_times": len(late),
        "smallest_pl_ratio": float(scalars["pl_ratio"].min()),
        "asymptotic_rate": float(numbers["asymptotic_rate"]),
        "late_rate": float(numbers["late_rate"]),
        "rate_error": float(numbers["late_rate"] / numbers["asymptotic_rate"] - 1),
        "rate_over_pl_constant": float(numbers["asymptotic_rate"] / numbers["pl_constant"]),
        "smallest_u": float(scalars["u"].min()),
        "u_lower_bound": float(numbers["u_lower_bound"]),
        "limit_distance": float(np.linalg.norm(limits["reached"] - limits["theorem"]) / norm),
        "last_time": float(end["t"].iloc[0]),
        "last_distance": float(np.linalg.norm(last_u - theorem) / np.linalg.norm(theorem)),
        "balance_drift": float(scalars["balance"].abs().max()),
        **{f"time_to_{percent}": float(numbers[f"time_to_{percent}"]) for percent in (50, 90, 99)},
    }


def _sentences(case: str, facts: dict[str, Any]) -> list[str]:
    theorem = "Theorem 4" if case == FIXED else "Theorem 8"
    return [
        f"{case.capitalize()}, σ = {facts['scale']:.4g} ({facts['scale'] / facts['threshold']:.2g} of the threshold): "
        f"the flow ends at the minimiser of {theorem} (relative distance {facts['limit_distance']:.1e}); 50, 90 "
        f"and 99 % of the gain take t = {facts['time_to_50']:.3g}, {facts['time_to_90']:.3g} and "
        f"{facts['time_to_99']:.3g}.",
        f"The bound e^(−μt)(L(0) − min L) holds at {facts['times_within_bound']} of {facts['positive_times']} positive "
        f"times sampled (at t = 0 it is an equality), and ‖∇L‖² stays above μ(L − min L) by a factor of at least "
        f"{facts['smallest_pl_ratio']:.3g}; μ = {facts['pl_constant']:.3g} is loose: the true rate is "
        f"{facts['rate_over_pl_constant']:.3g} times as large.",
        f"The measured late rate {facts['late_rate']:.6g} agrees with the exact asymptotic rate "
        f"{facts['asymptotic_rate']:.6g} to {abs(facts['rate_error']):.1e}; u never falls below "
        f"{facts['smallest_u']:.3g}, where the paper's lower bound is {facts['u_lower_bound']:.3g}; "
        f"u² − ‖U‖² stays 0 to {facts['balance_drift']:.1e}.",
    ]
