"""Two layers of linear attention under gradient flow from random weights: plateaus, ends, and what they learn.

The references are linear in c = (1/N) Σ y_i x_i: the minimum of one layer, and k steps of gradient descent with their
best rates, which for Λ = I are ŷ = x_q'p(Λ̂)c with the best polynomial p of degree k − 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from iclab.flow import TwoLayerPath, TwoLayerRisk, TwoLayerWeights, two_layer_runs
from iclab.foundations import Estimate
from iclab.prompts import Gaussian, Linear, PromptDistribution, Prompts
from iclab.studies.intervals import wilson
from iclab.theory import minimizer, minimum_loss

# Standard deviation of all weights at the start.
SCALES = (0.02, 0.1, 0.3)
DIMENSION, N_TRAIN = 2, 20
# Time at which the runs end; later than nearly all of what happens.
SPAN = 500.0
# An end is near two steps of descent when its risk on fresh prompts is at most this much above theirs.
_SLACK = 0.1
_FRESH = 20_000
_MAX_STEPS = 3_000
ONE_LAYER, TWO_LAYERS = "one layer, its minimum", "two layers, best end"


def two_layer_part(n_starts: int, n_prompts: int, scales: Sequence[float], seed: int) -> pd.DataFrame:
    """All tables of this part in one, told apart by the column ``table``: runs, plateaus, paths, references."""
    distribution = PromptDistribution(Gaussian.isotropic(DIMENSION), Linear())
    sample = distribution.sample(n_prompts, N_TRAIN + 1, seed=seed, stream="training")
    fresh = distribution.sample(_FRESH, N_TRAIN + 1, seed=seed)
    risk = TwoLayerRisk(fresh)
    paths: list[TwoLayerPath] = []
    labels: list[tuple[float, int]] = []
    for scale in scales:
        starts = [TwoLayerWeights.random(DIMENSION, scale, 1000 * seed + number) for number in range(n_starts)]
        paths += two_layer_runs(starts, sample, SPAN, max_steps=_MAX_STEPS)
        labels += [(scale, number) for number in range(n_starts)]
    finals = [risk(path.end) for path in paths]
    best, one_layer = int(np.argmin(finals)), minimum_loss(Gaussian.isotropic(DIMENSION), N_TRAIN)
    references = _references(sample, fresh, paths[best].end, seed)
    two_steps = dict(zip(references["name"], references["loss"], strict=True))[_steps(2)]
    rows, plateaus, curves = [], [], []
    for (scale, number), path, final in zip(labels, paths, finals, strict=True):
        found = path.plateaus
        rows.append(
            {
                "scale": scale,
                "start": number,
                "loss": final,
                "fitted_loss": path.losses[-1],
                "speed": path.speeds[-1],
                "last_time": path.times[-1],
                "plateaus": len(found),
                "correction": path.correction,
                "as_two_steps": int(final <= (1 + _SLACK) * two_steps),
                "beats_one_layer": int(final < one_layer),
            }
        )
        plateaus += [(scale, number, p.start, p.end, p.height) for p in found]
        kept = np.unique(np.linspace(0, len(path.times) - 1, 120).round().astype(int))
        curves.append(pd.DataFrame({"scale": scale, "start": number, "t": path.times[kept], "loss": path.losses[kept]}))
    names = ["scale", "start", "t_start", "t_end", "height"]
    frames = {
        "runs": pd.DataFrame(rows),
        "plateaus": pd.DataFrame(plateaus, columns=names),
        "paths": pd.concat(curves, ignore_index=True),
        "references": references,
    }
    return pd.concat([frame.assign(table=name) for name, frame in frames.items()], ignore_index=True)


def two_layer_tables(whole: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The tables of :func:`two_layer_part`, and ``two_layer`` with one row of counts per scale."""
    tables = {
        f"two_layer_{name}": rows.drop(columns="table").dropna(axis="columns", how="all").reset_index(drop=True)
        for name, rows in whole.groupby("table", sort=False)
    }
    runs = tables["two_layer_runs"]
    moving = runs["speed"] > runs["fitted_loss"]  # at this rate all risk would be gone within one unit of time
    if moving.iloc[int(runs["loss"].argmin())]:
        references = tables["two_layer_references"]
        tables["two_layer_references"] = references[references["name"] != TWO_LAYERS].reset_index(drop=True)
    counts = []
    for scale, rows in runs.groupby("scale"):
        ended = rows[~moving[rows.index]]
        successes, n = int(ended["as_two_steps"].sum()), len(rows)
        low, high = wilson(successes, n)
        counts.append(
            {
                "dimension": DIMENSION,
                "n_train": N_TRAIN,
                "scale": scale,
                "n": n,
                "moving": n - len(ended),
                "beats_one_layer": int(ended["beats_one_layer"].sum()),
                "as_two_steps": successes,
                "rate": successes / n,
                "low": low,
                "high": high,
                "lowest_loss": ended["loss"].min(),
                "median_loss": ended["loss"].median(),
                "highest_loss": ended["loss"].max(),
                "median_plateaus": rows["plateaus"].median(),
                "largest_correction": rows["correction"].max(),
                "reached_end": int((rows["last_time"] >= SPAN).sum()),
            }
        )
    return {"two_layer": pd.DataFrame(counts), **tables}


def two_layer_sentences(tables: dict[str, pd.DataFrame]) -> list[str]:
    """What the tables say."""
    counts, plateaus = tables["two_layer"], tables["two_layer_plateaus"]
    loss = tables["two_layer_references"].set_index("name")["loss"]
    n, good, beats, moving = (int(counts[name].sum()) for name in ("n", "as_two_steps", "beats_one_layer", "moving"))
    shares = ", ".join(
        f"{int(r['as_two_steps'])} of {int(r['n'])} at {r['scale']:g} ({r['low']:.2f} to {r['high']:.2f})"
        for _, r in counts.iterrows()
    )
    left = f" Counted as neither: {moving}, still falling by more than the whole risk per unit of t." if moving else ""
    lowest = counts["lowest_loss"].min()
    sentences = [
        f"Two layers from random weights (d = {DIMENSION}, N = {N_TRAIN}, t ≤ {SPAN:g}): {beats} of {n} starts end "
        f"below the minimum of one layer; {good} within {_SLACK:.0%} of two steps of gradient descent with their best "
        f"rates, or below. By the standard deviation of the weights (95 % intervals): {shares}.{left}",
        f"On fresh prompts the lowest end counted has risk {lowest:.4g}: "
        f"the minimum of one layer has {loss[ONE_LAYER]:.4g}, two steps have {loss[_steps(2)]:.4g}, three "
        f"{loss[_steps(3)]:.4g}, four {loss[_steps(4)]:.4g}.",
    ]
    waits = "none of them wait at a plateau"
    if len(plateaus):
        length = (plateaus["t_end"] - plateaus["t_start"]).median()
        waits = (
            f"on the way {len(plateaus)} plateaus are passed (median length {length:.3g}, heights "
            f"{plateaus['height'].min():.3g} to {plateaus['height'].max():.3g})"
        )
    sentences.append(
        f"Two layers: {waits}; every step is put back on ‖W^PV‖² − ‖W^KQ‖² of each layer, which the flow conserves; "
        f"in sum these corrections are at most {counts['largest_correction'].max():.1e} of the squared norm of the "
        "weights."
    )
    return sentences


def _steps(count: int) -> str:
    return f"{count} step{'s' if count > 1 else ''} of descent"


def _references(sample: Prompts, fresh: Prompts, end: TwoLayerWeights, seed: int) -> pd.DataFrame:
    risk = TwoLayerRisk(fresh)
    layer = minimizer(Gaussian.isotropic(DIMENSION), N_TRAIN)
    zero = np.zeros_like(layer.w_pv)
    one = TwoLayerWeights([zero, layer.w_pv], [zero, layer.w_kq])
    found = {ONE_LAYER: risk.estimate(one, seed), TWO_LAYERS: risk.estimate(end, seed)}
    for count in range(1, 5):
        fit = np.linalg.lstsq(_krylov(sample, count), sample.targets[:, -1])[0]
        errors = _krylov(fresh, count) @ fit - fresh.targets[:, -1]
        found[_steps(count)] = Estimate.from_samples(errors**2 / 2, seed)
    rows = [(name, value.value, value.standard_error, value.n) for name, value in found.items()]
    return pd.DataFrame(rows, columns=["name", "loss", "stderr", "n"])


def _krylov(prompts: Prompts, count: int) -> np.ndarray:
    """x_q'Λ̂^k c for k below ``count``, (B, count): what that many steps of descent can combine."""
    x, y, query = prompts.xs[:, :-1], prompts.ys[:, :-1], prompts.queries[:, -1]
    vector = np.einsum("bn,bnd->bd", y, x) / x.shape[1]
    columns = []
    for _ in range(count):
        columns.append(np.sum(query * vector, axis=1))
        vector = np.einsum("bnd,bn->bd", x, np.einsum("bnd,bd->bn", x, vector)) / x.shape[1]
    return np.column_stack(columns)
