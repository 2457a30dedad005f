"""What the study of finite data says of the number of prompts, and how it words an exponent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from iclab.foundations import plus_minus
from iclab.studies.finite_exponents import SMALL, best_rates, by_start, of_layers, small_sizes
from iclab.studies.finite_prompts import AVERAGE, FIXED, LINEAR, RANDOM, WHOLE

if TYPE_CHECKING:
    from iclab.studies.finite_data import FiniteDataSettings

# Width of an interval of an exponent beyond which it tells none.
_VAGUE = 1.0
# Theorems and the laws that the layers are trained on.
_LAWS = ((4, FIXED), (8, RANDOM))

# Exponents of SGD's noise by how they are named, and what they are of.
_NOISE = {"SGD's squared distance to the flow": "squared_gap", "excess at which SGD wanders": "excess"}

Fitted = dict[str, dict[str, float]]


def power_in_prompts(tables: Mapping[str, pd.DataFrame], settings: FiniteDataSettings) -> list[str]:
    """The exponents of the excess in the number of prompts, as a finding."""
    fitted = fitted_of(tables["exponents"])
    powers = "; ".join(
        f"Theorem {theorem}'s loss ({law}) {as_power('B', fitted, of_layers(law))}"
        + (
            f", over all parameters {as_power('B', fitted, whole)}"
            if (whole := of_layers(law, WHOLE)) in fitted
            else ""
        )
        for theorem, law in _LAWS
        if of_layers(law) in fitted
    )
    if not powers:
        return []
    return [
        f"Found: with w21^PV = w21^KQ = 0 the layer of least risk on B training prompts (d = "
        f"{settings.layer_dimension}, N = {settings.layer_n_train}, {settings.n_samples} samples) exceeds {powers}; "
        "to leading order it would be 1/B."
    ]


def on_prompts(tables: Mapping[str, pd.DataFrame], settings: FiniteDataSettings) -> list[str]:
    """A paragraph per law: minimisers of the risk of B prompts, and one pass of SGD over them."""
    leading = tables["leading"].set_index("law")
    fitted = fitted_of(tables["exponents"])
    best = best_rates(tables["one_pass"])
    out = []
    for theorem, law in _LAWS:
        rows = _linear(tables["empirical"], law)
        largest = int(rows["n_prompts"].max())
        scale, spread = (float(leading[column].loc[law]) for column in ("value", "stderr"))
        text = (
            f"{law} (d = {settings.layer_dimension}, N = {settings.layer_n_train}): the layer of least risk on B "
            f"prompts exceeds Theorem {theorem}'s loss {as_power('B', fitted, of_layers(law))}{_fitted_over(rows)}"
        )
        if not out:
            text += (
                f"; fitted are the B whose mean excess is below {SMALL:g} of the gain over predicting zero. Here "
                "w21^PV = w21^KQ = 0, as at the minimum. To leading order the excess is ½E[r²Z'H⁻¹Z]/B, with r the "
                "best layer's residual, Z the Kronecker product of x_q and (1/N)Σ y_i x_i, H = E ZZ'"
            )
        text += (
            f". The coefficient is {plus_minus(scale, spread)}{'' if out else ' (± one standard error)'}; over this "
            f"term{'' if out else ', its error aside,'} the excess is {_over_leading(rows, scale)}. "
            f"{_tails(rows, fitted.get(of_layers(law)))}"
        )
        if not out and of_layers(law, WHOLE) in fitted:
            text += "Over all parameters the layer is a local minimum, found by L-BFGS from the theorem's minimiser. "
        at = rows[rows["n_prompts"] == largest]["excess"]
        out.append(text + _one_pass(tables["one_pass"], best[best["law"] == law], at, largest, fitted))
    return out


def _tails(rows: pd.DataFrame, fit: Mapping[str, float] | None) -> str:
    """Where the mean excess is larger than that of predicting zero, and whether 1/B is seen."""
    few = rows.groupby("n_prompts")["relative"].agg(["mean", "sem"])
    worse = ", ".join(
        f"{plus_minus(mean, error)} times that of predicting zero at B = {size:,}"
        for size, (mean, error) in zip(few.index, few.to_numpy(), strict=True)
        if mean > 1
    )
    text = f"Tails are heavy (products of four Gaussians): the mean excess is {worse}. " if worse else ""
    return text + ("1/B is not seen over these B. " if fit and not fit["low"] <= -1 <= fit["high"] else "")


def _over_leading(rows: pd.DataFrame, scale: float) -> str:
    """Excess over its leading term at the first B that is fitted and at the largest, mean and median."""
    ends = sorted({*small_sizes(rows)[:1], int(rows["n_prompts"].max())})
    parts = []
    for size in ends:
        over = rows[rows["n_prompts"] == size]["excess"] * size / scale
        parts.append(f"{plus_minus(over.mean(), _stderr(over))} at B = {size:,} (median {over.median():.2g})")
    return " and ".join(parts)


def _fitted_over(rows: pd.DataFrame) -> str:
    """Over which B an exponent is fitted, and what it is from other B on."""
    used = small_sizes(rows)
    others = {start: one.value for start, one in by_start(rows).items() if start not in used[:1]}
    text = f" over B = {used[0]:,} to {used[-1]:,}" if len(used) > 1 else ""
    if others:
        starts = ", ".join(f"{start:,}" for start in others)
        text += f" (from {starts} on: {min(others.values()):.2f} to {max(others.values()):.2f})"
    return text.replace("-", "−")


def _one_pass(every: pd.DataFrame, best: pd.DataFrame, minimisers: pd.Series, largest: int, fitted: Fitted) -> str:
    """One pass of SGD, with the best of its choices, against the empirical minimiser."""
    chosen = best[best["n_prompts"] == largest]
    own = chosen["excess"]
    if not len(own) or not np.isfinite(own).all():
        return "One pass of SGD diverges with every choice tried."
    law, rate = str(chosen["law"].iloc[0]), float(chosen["rate"].iloc[0])
    ratio = float(own.mean()) / float(minimisers.mean())
    error = ratio * float(np.hypot(_stderr(own) / own.mean(), _stderr(minimisers) / minimisers.mean()))
    text = (
        "SGD that sees each prompt once, with the best of its choices in hindsight, has "
        f"{plus_minus(ratio, error)} times the excess of the empirical minimiser at B = {largest:,} (batches of "
        f"{chosen['batch'].iloc[0]}, {'averaged' if chosen['iterate'].iloc[0] == AVERAGE else 'last'} iterate, η = "
        f"{rate:g}"
    )
    rates = every[every["law"] == law]["rate"]
    if rate in (rates.min(), rates.max()):
        text += f", the {'smallest' if rate == rates.min() else 'largest'} tried: others may be better"
    text += ")"
    means = best.groupby("n_prompts")["excess"].mean()
    if len(means) > 1 and means.iloc[-1] > means.iloc[-2]:
        text += f"; its mean excess rises from {means.iloc[-2]:.2g} at B = {means.index[-2]:,} to {means.iloc[-1]:.2g}"
    key = f"one pass of SGD, best choice, {law}: in B"
    if key in fitted:
        text += f"; where its excess is below {SMALL:g} of the gain it goes {as_power('B', fitted, key)}"
        if fitted[key]["high"] < -1:
            text += ", steeper than 1/B: not explained here"
    return f"{text}."


def on_noise(tables: Mapping[str, pd.DataFrame]) -> str:
    """How SGD's noise goes with its step size and its batches, and whether as small independent noise would."""
    fitted = fitted_of(tables["exponents"])
    parts = []
    for what, column in _NOISE.items():
        powers = [row for key, row in fitted.items() if key.startswith(what)]
        if not powers:
            return "SGD's noise could not be fitted: too many runs diverged."
        runs = tables["noise"].pivot_table(index="sample", columns=["rate", "batch_size"], values=column)
        kept = runs[[pair for pair in runs.columns if np.isfinite(runs[pair]).all()]]
        spread = float((kept.sem() / kept.mean()).max())
        holds = all(row["low"] <= row["expected"] <= row["high"] for row in powers)
        end = f"; a mean's standard error is up to {spread:.0%} of it" if holds else ": not these powers"
        parts.append(f"{what[0].upper()}{what[1:]}: {' and '.join(map(interval_of, powers))}{end}.")
    return (
        "SGD with fresh prompts at every step, Λ = I: small independent noise would give powers 1 of η and −1 of the "
        f"batch size. {' '.join(parts)}"
    )


def _linear(empirical: pd.DataFrame, law: str) -> pd.DataFrame:
    return empirical[(empirical["law"] == law) & (empirical["kind"] == LINEAR)]


def fitted_of(table: pd.DataFrame) -> Fitted:
    """The exponents by what they are of."""
    rows = table.drop(columns="fitted_over").set_index("what").to_dict("index")
    return {str(what): {str(key): float(value) for key, value in row.items()} for what, row in rows.items()}


def as_power(base: str, fitted: Fitted, key: str) -> str:
    """As which power something goes."""
    if key not in fitted:
        return f"as a power of {base} that could not be fitted"
    row = fitted[key]
    vague = row["high"] - row["low"] > _VAGUE
    return f"as {base}^{interval_of(row)}" + (", too wide an interval to tell an exponent" if vague else "")


def interval_of(row: Mapping[str, float]) -> str:
    """An exponent, its interval, and whether that contains what theory expects, if it does."""
    text = f"{row['value']:.2f} (95 % interval {row['low']:.2f} to {row['high']:.2f}"
    if not np.isnan(row["expected"]):
        holds = row["low"] <= row["expected"] <= row["high"]
        text += f", which {'contains' if holds else 'excludes'} {row['expected']:.3g}"
    return f"{text})".replace("-", "−")


def _stderr(values: pd.Series) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))
