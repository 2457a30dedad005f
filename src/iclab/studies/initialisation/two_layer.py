"""Two layers of linear attention under gradient flow from random weights: plateaus, ends, and what they learn.

The references are linear in c = (1/N) Σ y_i x_i: the minimum of one layer, and k steps of gradient descent with their
best rates, which for Λ = I are ŷ = x_q'p(Λ̂)c with the best polynomial p of degree k − 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from iclab.flow import TwoLayerPath, TwoLayerRisk, TwoLayerWeights, two_layer_runs
from iclab.foundations import Estimate, wilson_interval
from iclab.prompts import Gaussian, Linear, PromptDistribution, Prompts
from iclab.studies.rows import where
from iclab.studies.store import several
from iclab.theory import minimizer, minimum_loss

DIMENSION, N_TRAIN = 2, 20
# Time at which the runs end; later than nearly all of what happens.
SPAN = 500.0
# An end is near two steps of descent when its risk on fresh prompts is at most this much above theirs.
SLACK = 0.1
ONE_LAYER, TWO_LAYERS, DESCENT = "one layer", "two layers", "descent"
_STEPS = (1, 2, 3, 4)
_FRESH = 20_000
_MAX_STEPS = 3_000
_LOSSES = {"lowest": "min", "median": "median", "highest": "max"}


def two_layer(n_starts: int, n_prompts: int, scales: Sequence[float], seed: int) -> pd.DataFrame:
    """All tables of this part in one, told apart by the column ``table``.

    ``two_layer_runs``: loss (on fresh prompts), fitted_loss, speed, last_time, plateaus, correction, as_two_steps (an
    end as good as two steps of descent), beats_one_layer, moving (the run has not ended: at its speed all risk would be
    gone within one unit of time). ``two_layer_plateaus``: t_start, t_end, height. ``two_layer_paths``: t, loss; all by
    scale and start. ``two_layer_references``: predictor, steps (of descent, 0 otherwise), loss, stderr, n; two layers
    are there by their best end, unless it still moves.
    """
    distribution = PromptDistribution(Gaussian.isotropic(DIMENSION), Linear())
    sample = distribution.sample(n_prompts, N_TRAIN + 1, seed=seed, stream="training")
    fresh = distribution.sample(_FRESH, N_TRAIN + 1, seed=seed)
    risk = TwoLayerRisk(fresh)
    paths: dict[tuple[float, int], TwoLayerPath] = {}
    for scale in scales:
        starts = [TwoLayerWeights.random(DIMENSION, scale, 1000 * seed + number) for number in range(n_starts)]
        found = two_layer_runs(starts, sample, SPAN, max_steps=_MAX_STEPS)
        paths |= {(scale, number): path for number, path in enumerate(found)}
    finals = {key: risk(path.end) for key, path in paths.items()}
    best = min(finals, key=lambda key: finals[key])
    references = _references(sample, fresh, None if _moving(paths[best]) else paths[best].end, seed)
    two_steps = float(where(references, steps=2)["loss"].iloc[0])
    table = pd.DataFrame
    return several(
        {
            "two_layer_runs": table([_run(*key, path, finals[key], two_steps) for key, path in paths.items()]),
            "two_layer_plateaus": table(
                [(*key, p.start, p.end, p.height) for key, path in paths.items() for p in path.plateaus],
                columns=["scale", "start", "t_start", "t_end", "height"],
            ),
            "two_layer_paths": pd.concat([_thinned(*key, path) for key, path in paths.items()], ignore_index=True),
            "two_layer_references": references,
        }
    )


def _moving(path: TwoLayerPath) -> bool:
    return bool(path.speeds[-1] > path.losses[-1])


def _run(scale: float, number: int, path: TwoLayerPath, loss: float, two_steps: float) -> dict[str, Any]:
    return {
        "scale": scale,
        "start": number,
        "loss": loss,
        "fitted_loss": path.losses[-1],
        "speed": path.speeds[-1],
        "last_time": path.times[-1],
        "plateaus": len(path.plateaus),
        "correction": path.correction,
        "as_two_steps": int(loss <= (1 + SLACK) * two_steps),
        "beats_one_layer": int(loss < minimum_loss(Gaussian.isotropic(DIMENSION), N_TRAIN)),
        "moving": int(_moving(path)),
    }


def _thinned(scale: float, number: int, path: TwoLayerPath) -> pd.DataFrame:
    kept = np.unique(np.linspace(0, len(path.times) - 1, 120).round().astype(int))
    return pd.DataFrame({"scale": scale, "start": number, "t": path.times[kept], "loss": path.losses[kept]})


def share(successes: int, n: int) -> dict[str, Any]:
    """A share with its 95 % Wilson interval."""
    low, high = wilson_interval(successes, n)
    return {"rate": successes / n, "low": low, "high": high}


def counts_of(runs: pd.DataFrame) -> pd.DataFrame:
    """By scale, how many runs there are, still move, and reach what; those that move reach none, and have no loss."""
    counts = []
    for scale, rows in runs.groupby("scale"):
        ended, n = where(rows, moving=0), len(rows)
        row: dict[str, Any] = {"dimension": DIMENSION, "n_train": N_TRAIN, "scale": scale, "n": n}
        row |= {"moving": int(rows["moving"].sum())}
        row |= {name: int(ended[name].sum()) for name in ("beats_one_layer", "as_two_steps")}
        row |= share(row["as_two_steps"], n)
        row |= {f"{of}_loss": ended["loss"].agg(how) for of, how in _LOSSES.items()}
        row |= {"median_plateaus": rows["plateaus"].median(), "largest_correction": rows["correction"].max()}
        counts.append({**row, "reached_end": (rows["last_time"] >= SPAN).sum()})
    return pd.DataFrame(counts)


def _references(sample: Prompts, fresh: Prompts, end: TwoLayerWeights | None, seed: int) -> pd.DataFrame:
    risk = TwoLayerRisk(fresh)
    layer = minimizer(Gaussian.isotropic(DIMENSION), N_TRAIN)
    zero = np.zeros_like(layer.w_pv)
    one = TwoLayerWeights([zero, layer.w_pv], [zero, layer.w_kq])
    found = {(ONE_LAYER, 0): risk.estimate(one, seed)}
    if end is not None:
        found[TWO_LAYERS, 0] = risk.estimate(end, seed)
    for count in _STEPS:
        fit = np.linalg.lstsq(_krylov(sample, count), sample.targets[:, -1])[0]
        errors = _krylov(fresh, count) @ fit - fresh.targets[:, -1]
        found[DESCENT, count] = Estimate.from_samples(errors**2 / 2, seed)
    rows = [(*key, value.value, value.standard_error, value.n) for key, value in found.items()]
    return pd.DataFrame(rows, columns=["predictor", "steps", "loss", "stderr", "n"])


def _krylov(prompts: Prompts, count: int) -> np.ndarray:
    """x_q'Λ̂^k c for k below ``count``, (B, count): what that many steps of descent can combine."""
    x, y, query = prompts.xs[:, :-1], prompts.ys[:, :-1], prompts.queries[:, -1]
    vector = np.einsum("bn,bnd->bd", y, x) / x.shape[1]
    columns = []
    for _ in range(count):
        columns.append(np.sum(query * vector, axis=1))
        vector = np.einsum("bnd,bn->bd", x, np.einsum("bnd,bd->bn", x, vector)) / x.shape[1]
    return np.column_stack(columns)
