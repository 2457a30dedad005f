"""The paper's open question: from which initialisations gradient flow learns, and what becomes of the others.

Five parts. Starts away from Assumption 3 on all parameters: how many end at the global minimum, and with what error
the others end. σ above the threshold of the theorems. The step size of descent against its stability limits. SGD on
fresh prompts against the flow. Two layers from random weights. The first four for a fixed and for random covariances.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from iclab.flow import (
    Ends,
    flow_ends,
    gradient_descent,
    gradient_flow,
    stability_limit,
    stochastic_gradient_descent,
)
from iclab.flow.ensemble import GLOBAL, LOCAL, SADDLE, UNFINISHED
from iclab.foundations import check_integer
from iclab.prompts import Gaussian, RandomDiagonal
from iclab.studies.initialisation_words import SETTLED, sentences
from iclab.studies.intervals import wilson
from iclab.studies.record import StudyRecord
from iclab.studies.store import Store
from iclab.studies.two_layer import SCALES as TWO_LAYER_SCALES
from iclab.studies.two_layer import two_layer_part, two_layer_sentences, two_layer_tables
from iclab.theory import (
    LSAParameters,
    assumption3,
    certificate,
    minimizer,
    minimum_loss,
    random_theta,
)

NAME = "initialisation"
FIXED, RANDOM = "fixed covariance", "random covariances"
# Size of the perturbation of all parameters, in units of σ.
SIZES = (0.1, 0.3, 1.0, 3.0, 10.0)
# (law, d, N, condition number of Λ).
PROBLEMS: tuple[tuple[str, int, int, float], ...] = (
    (FIXED, 2, 5, 1.0),
    (FIXED, 2, 20, 1.0),
    (FIXED, 2, 80, 1.0),
    (FIXED, 2, 20, 10.0),
    (FIXED, 3, 20, 1.0),
    (FIXED, 3, 80, 1.0),
    (FIXED, 3, 20, 10.0),
    (RANDOM, 2, 20, 1.0),
    (RANDOM, 3, 20, 1.0),
)
# σ as a part of the threshold.
SCALES = (0.5, 1.0, 2.0, 4.0, 8.0)
# Where σ is varied: from Assumption 3 by the spectral method, and with every parameter moved by 0.3σ.
EXACT_PROBLEMS: tuple[tuple[str, int, int, float], ...] = (
    (FIXED, 5, 20, 10.0),
    (FIXED, 2, 5, 1.0),
    (FIXED, 10, 40, 100.0),
    (RANDOM, 5, 20, 1.0),
)
MOVED_PROBLEMS: tuple[tuple[str, int, int, float], ...] = ((FIXED, 2, 20, 1.0), (RANDOM, 2, 20, 1.0))
MOVED = 0.3
# η as a part of the limit for all parameters; the limit on (u, U) alone is added.
RATES = (0.5, 0.9, 1.1, 2.0)
BATCHES = (8, 32, 128)
# Rates of SGD and the time of flow it covers, by law: random covariances give larger gradients and a faster flow.
SGD_RATES = {FIXED: (0.04, 0.02, 0.01), RANDOM: (0.01, 0.005, 0.0025)}
SGD_SPAN = {FIXED: 4.0, RANDOM: 1.0}
_RELATIVE_SIGMA = 0.5
_MAX_STEPS = 12_000
# d, N and the time of flow that descent covers at every step size.
_DESCENT = {FIXED: (5, 20, 60.0), RANDOM: (3, 20, 15.0)}


def run(
    *,
    store: Store,
    progress: Callable[[str, int, int], None],
    n_starts: int = 60,
    n_seeds: int = 8,
    n_prompts: int = 4_000,
    two_layer_scales: Sequence[float] = TWO_LAYER_SCALES,
    problems: Sequence[tuple[str, int, int, float]] = PROBLEMS,
    sizes: Sequence[float] = SIZES,
    seed: int = 0,
) -> StudyRecord:
    """Count where starts end, and compare discrete training with the flow.

    Parameters
    ----------
    store : Store
        Finished parts.
    progress : callable
        Called with (label, done, total).
    n_starts : int
        Starts per perturbation size and problem, per scale, and of two layers per scale.
    n_seeds : int
        SGD runs per batch size and rate.
    n_prompts : int
        Sample whose risk two layers descend.
    two_layer_scales : sequence of float
        Standard deviations of the weights of two layers at the start.
    problems : sequence of (law, d, N, condition)
        Where starts are counted.
    sizes : sequence of float
        Sizes of the perturbation, in units of σ.
    seed : int
        Of starts, ΘΘ' and prompts.

    Returns
    -------
    StudyRecord
        Table ``ends``: law, dimension, n_train, condition, size (perturbation in units of σ), n, one count per kind
        of end, failures (local minima and saddles), rate with its 95 % Wilson interval (low, high), failed_excess
        and failed_error (medians over failures of (L − min L)/(½ tr Λ − min L) and of E(ŷ − y)²/tr Λ), best_error.
        Table ``scales``: law, dimension, n_train, condition, size (perturbation in units of σ; 0: Assumption 3), ratio
        (σ over the threshold), n, failures, rate, low, high, time_to_99 (median; NaN where size > 0).
        Table ``rates``: law, start, part (η over the limit for all parameters), rate, limit_all, limit_u_U, excess
        (end, relative), limit_at_end (of the minimum where the run settled), diverged.
        Table ``sgd``: law, batch_size, rate, gap (root mean square of ‖θ_SGD − θ(t)‖ at the end), stderr, n, diverged
        (runs, which make the gap infinite), descent_gap.
        Table ``two_layer``: dimension, n_train, scale, n, beats_one_layer, as_two_steps (ends as good as two steps of
        gradient descent), rate with its 95 % Wilson interval (low, high), lowest_loss, median_loss, highest_loss,
        median_plateaus, largest_correction, reached_end. Tables ``two_layer_runs``, ``two_layer_plateaus``,
        ``two_layer_paths`` (t, loss of every start) and ``two_layer_references`` (name, loss, stderr, n) hold what it
        rests on.
    """
    n_starts = check_integer(n_starts, "n_starts", minimum=2)
    n_seeds = check_integer(n_seeds, "n_seeds", minimum=2)
    n_prompts = check_integer(n_prompts, "n_prompts", minimum=2)
    settings = {"n_starts": n_starts, "n_seeds": n_seeds, "seed": check_integer(seed, "seed", minimum=0)}
    work: list[tuple[str, str, dict[str, Any], Callable[[], pd.DataFrame]]] = []
    for case in problems:
        label = f"{case[0]}, d = {case[1]}, N = {case[2]}, condition {case[3]:g}"
        configuration = {"case": list(case), "sizes": list(sizes), "max_steps": _MAX_STEPS}
        work.append(("ends", label, configuration, lambda case=case: _ends(case, sizes, n_starts, seed)))
    moves = [(0.0, case) for case in EXACT_PROBLEMS] + [(MOVED, case) for case in MOVED_PROBLEMS]
    for size, case in moves:
        label = f"scales, {case[0]}, d = {case[1]}, moved by {size:g}σ"
        configuration = {"case": list(case), "size": size}
        work.append(("scales", label, configuration, lambda case=case, size=size: _scales(case, size, n_starts, seed)))
    for law in (FIXED, RANDOM):
        work.append(("rates", f"step sizes, {law}", {"law": law}, lambda law=law: _rates(law, seed)))
        work.append(("sgd", f"SGD, {law}", {"law": law}, lambda law=law: _sgd(law, n_seeds, seed)))
    configuration = {"n_prompts": n_prompts, "scales": list(two_layer_scales)}
    work.append(
        (
            "two_layer",
            "two layers",
            configuration,
            lambda: two_layer_part(n_starts, n_prompts, two_layer_scales, seed),
        )
    )

    parts: dict[str, list[pd.DataFrame]] = {}
    for done, (part, label, configuration, compute) in enumerate(work):
        progress(label, done, len(work))
        table = store.table(f"{NAME}-{part}", {**settings, **configuration}, compute)
        parts.setdefault(part, []).append(table)
    progress("done", len(work), len(work))
    tables = {part: pd.concat(frames, ignore_index=True) for part, frames in parts.items()}
    tables |= two_layer_tables(tables.pop("two_layer"))
    facts = {
        "settings": {**settings, "n_prompts": n_prompts},
        "sentences": sentences(tables, {law: (d, n) for law, (d, n, _) in _DESCENT.items()})
        + two_layer_sentences(tables),
    }
    return StudyRecord(NAME, "Initialisation, step size and noise (open questions)", tables, facts)


def _covariates(law: str, dimension: int, condition: float) -> Gaussian | RandomDiagonal:
    if law == RANDOM:
        return RandomDiagonal.exponential(dimension)
    spectrum = condition ** -np.linspace(0, 1, dimension)
    return Gaussian(np.diag(spectrum * dimension / spectrum.sum()))


def _ends(case: tuple[str, int, int, float], sizes: Sequence[float], n_starts: int, seed: int) -> pd.DataFrame:
    law, d, n_train, condition = case
    covariates = _covariates(law, d, condition)
    rng = np.random.default_rng([seed, d, n_train])
    starts: list[np.ndarray] = []
    for size in sizes:
        for number in range(n_starts):
            theta = random_theta(d, 1000 * seed + number)
            sigma = _RELATIVE_SIGMA * certificate(covariates, n_train, theta, 1.0).threshold
            noise = rng.standard_normal((d + 1) ** 2)
            starts.append(assumption3(theta, sigma).vector + size * sigma * noise)
    ends = flow_ends(np.array(starts), covariates, n_train, max_steps=_MAX_STEPS)
    trace = d  # tr Λ, and E tr Λ, of every problem here
    best = minimum_loss(covariates, n_train)
    rows = []
    for index, size in enumerate(sizes):
        chosen = slice(index * n_starts, (index + 1) * n_starts)
        part = Ends(ends.vectors[chosen], ends.kinds[chosen], ends.excess[chosen], ends.times[chosen])
        failed = part.excess[np.isin(part.kinds, (LOCAL, SADDLE))]
        low, high = wilson(len(failed), n_starts)
        excess = float(np.median(failed)) if len(failed) else math.nan
        rows.append(
            {
                "law": law,
                "dimension": d,
                "n_train": n_train,
                "condition": condition,
                "size": size,
                "n": n_starts,
                **{kind: part.count(kind) for kind in (GLOBAL, LOCAL, SADDLE, UNFINISHED)},
                "failures": len(failed),
                "rate": len(failed) / n_starts,
                "low": low,
                "high": high,
                "failed_excess": excess / (trace / 2 - best),
                "failed_error": 2 * (excess + best) / trace,
                "best_error": 2 * best / trace,
            }
        )
    return pd.DataFrame(rows)


def _scales(case: tuple[str, int, int, float], size: float, n_starts: int, seed: int) -> pd.DataFrame:
    law, d, n_train, condition = case
    covariates = _covariates(law, d, condition)
    rows = []
    for ratio in SCALES:
        thetas = [random_theta(d, 1000 * seed + number) for number in range(n_starts)]
        sigmas = [ratio * certificate(covariates, n_train, theta, 1.0).threshold for theta in thetas]
        starts = [assumption3(theta, sigma) for theta, sigma in zip(thetas, sigmas, strict=True)]
        time_to_99 = math.nan
        if size == 0:
            paths = [gradient_flow(start, covariates, n_train, math.inf) for start in starts]
            failures = sum(bool(path.excess(math.inf) > 1e-12 * path.excess(0.0)) for path in paths)
            time_to_99 = float(np.median([path.time_to(0.99) for path in paths]))
        else:
            noise = np.random.default_rng([seed, d, n_train]).standard_normal((n_starts, (d + 1) ** 2))
            vectors = np.array([start.vector for start in starts]) + size * np.array(sigmas)[:, None] * noise
            ends = flow_ends(vectors, covariates, n_train, max_steps=_MAX_STEPS)
            failures = ends.count(LOCAL) + ends.count(SADDLE)
        low, high = wilson(failures, n_starts)
        counts = (n_starts, failures, failures / n_starts, low, high, time_to_99)
        rows.append((law, d, n_train, condition, size, ratio, *counts))
    names = ["law", "dimension", "n_train", "condition", "size", "ratio", "n", "failures", "rate", "low", "high"]
    return pd.DataFrame(rows, columns=[*names, "time_to_99"])


def _rates(law: str, seed: int) -> pd.DataFrame:
    d, n_train, span = _DESCENT[law]
    covariates = _covariates(law, d, 1.0)
    minimum = minimizer(covariates, n_train)
    whole = stability_limit(minimum, covariates, n_train)
    restricted = stability_limit(minimum, covariates, n_train, only_a_b_zero=True)
    exact = assumption3(random_theta(d, seed), 0.1)
    noise = np.random.default_rng([seed, 1]).standard_normal((d + 1) ** 2)
    starts = {"Assumption 3": exact, "perturbed by 0.01": LSAParameters.from_vector(exact.vector + 0.01 * noise)}
    gain = d / 2 - minimum_loss(covariates, n_train)
    rows = []
    for start, initial in starts.items():
        for part in (*RATES, 0.9 * restricted / whole, 1.1 * restricted / whole):
            rate = part * whole
            end = gradient_descent(initial, covariates, n_train, rate, round(span / rate), record_every=10**9)
            excess = math.inf if end.diverged else float(end.excess[-1]) / gain
            settled = excess < SETTLED
            own = stability_limit(end.parameters(), covariates, n_train) if settled else math.nan
            rows.append((law, start, part, rate, whole, restricted, excess, own, end.diverged))
    names = ["law", "start", "part", "rate", "limit_all", "limit_u_U", "excess", "limit_at_end", "diverged"]
    return pd.DataFrame(rows, columns=names)


def _sgd(law: str, n_seeds: int, seed: int) -> pd.DataFrame:
    d, n_train, t = 3, 12, SGD_SPAN[law]
    covariates, initial = _covariates(law, d, 1.0), assumption3(random_theta(d, seed), 0.4)
    end = gradient_flow(initial, covariates, n_train, t).parameters(t).vector
    rows = []
    for rate in SGD_RATES[law]:
        steps = round(t / rate)
        descent = gradient_descent(initial, covariates, n_train, rate, steps, record_every=steps).vectors[-1]
        for size in BATCHES:
            runs = [
                stochastic_gradient_descent(
                    initial,
                    covariates,
                    n_train,
                    rate,
                    steps,
                    batch_size=size,
                    seed=1000 * seed + number,
                    record_every=steps,
                )
                for number in range(n_seeds)
            ]
            diverged = sum(run.diverged for run in runs)
            gap, error = math.inf, math.nan
            if not diverged:
                squares = [float(np.sum((run.vectors[-1] - end) ** 2)) for run in runs]
                gap = math.sqrt(float(np.mean(squares)))
                # The error of a root, to first order.
                error = float(np.std(squares, ddof=1) / math.sqrt(n_seeds)) / (2 * gap)
            rows.append((law, size, rate, gap, error, n_seeds, diverged, float(np.linalg.norm(descent - end))))
    names = ["law", "batch_size", "rate", "gap", "stderr", "n", "diverged", "descent_gap"]
    return pd.DataFrame(rows, columns=names)
