"""What the study of finite data says of the number of prompts, and how it words an exponent."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from incontext.foundations import plus_minus
from incontext.studies.exponents import Exponent
from incontext.studies.finite_exponents import SMALL, best_rates, by_start, of_layers, small_sizes
from incontext.studies.finite_prompts import AVERAGE, FIXED, LINEAR, RANDOM, WHOLE

if TYPE_CHECKING:
    from incontext.studies.finite_data import FiniteDataSettings

# Width of an interval of an exponent beyond which it tells none.
_VAGUE = 1.0
# Two-sided normal interval of 95 %.
_Z = 1.96
# Theorems and the laws that the layers are trained on.
_LAWS = ((4, FIXED), (8, RANDOM))

Fitted = dict[str, dict[str, float]]


def power_in_prompts(tables: Mapping[str, pd.DataFrame], settings: FiniteDataSettings) -> list[str]:
    """The exponents of the excess in the number of prompts, as a finding."""
    fitted = fitted_of(tables["exponents"])
    known = [(theorem, law) for theorem, law in _LAWS if of_layers(law) in fitted]
    if not known:
        return []
    powers = "; ".join(
        f"Theorem {theorem}'s loss ({law}) {as_power('B', fitted, of_layers(law))}" for theorem, law in known
    )
    others = [one for _, law in known for one in _from_others(_linear(tables["empirical"], law)).values()]
    text = (
        f"Found: the layer of least risk on B training prompts (d = {settings.layer_dimension}, N = "
        f"{settings.layer_n_train}, {settings.n_samples} samples) exceeds {powers}; fitted where the excess is "
        f"below {SMALL:g} of the gain over predicting zero"
    )
    text += f" (fitted from other B on, {_held(others)})" if others else ""
    for _, law in known:
        ratio, error, largest = _over_leading(tables, law)
        if _reconciled(fitted[of_layers(law)], ratio, error):
            text += (
                f"; tails are heavy, and on {law} the excess at B = {largest:,} agrees with 1/B ("
                f"{plus_minus(ratio, error)} times the leading term)"
            )
    return [f"{text}."]


def on_prompts(tables: Mapping[str, pd.DataFrame], settings: FiniteDataSettings) -> list[str]:
    """A paragraph per law: minimisers of the risk of B prompts, and one pass of SGD over them."""
    leading = tables["leading"].set_index("law")
    fitted = fitted_of(tables["exponents"])
    best = best_rates(tables["one_pass"])
    out = []
    for theorem, law in _LAWS:
        rows = _linear(tables["empirical"], law)
        ratio, error, largest = _over_leading(tables, law)
        at = rows[rows["n_prompts"] == largest]["excess"]
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
            f". At B = {largest:,} it is {plus_minus(ratio, error)} times its leading term, whose coefficient is "
            f"{plus_minus(scale, spread)}{'' if out else ' (± one standard error)'}. "
            f"{_tails(rows, fitted.get(of_layers(law)), ratio, error)}"
        )
        key = of_layers(law, WHOLE)
        if key in fitted:
            text += (
                f"Minimised over all parameters by L-BFGS started at Theorem {theorem}'s minimiser, a nearby local "
                f"minimum has an excess that goes {as_power('B', fitted, key)}. "
            )
        out.append(text + _one_pass(tables["one_pass"], best[best["law"] == law], at, largest, fitted))
    return out


def _tails(rows: pd.DataFrame, fit: Mapping[str, float] | None, ratio: float, error: float) -> str:
    """Why an exponent off −1 does not speak against 1/B, where the excess agrees with its leading term."""
    few = rows.groupby("n_prompts")["relative"].mean()
    worse = [f"{size:,}" for size, relative in few.items() if relative > 1]
    text = "Tails are heavy (products of four Gaussians)"
    if worse:
        text += f": at B = {', '.join(worse)} the mean excess is larger than that of predicting zero"
    if fit is not None and _reconciled(fit, ratio, error):
        return f"{text}; an exponent other than −1 over these B does not contradict 1/B. "
    return f"{text}. " if worse else ""


def _over_leading(tables: Mapping[str, pd.DataFrame], law: str) -> tuple[float, float, int]:
    """Excess over its leading term at the largest B, its standard error, and that B."""
    rows = _linear(tables["empirical"], law)
    largest = int(rows["n_prompts"].max())
    at = rows[rows["n_prompts"] == largest]["excess"]
    leading = tables["leading"].set_index("law")
    scale, spread = (float(leading[column].loc[law]) for column in ("value", "stderr"))
    ratio = float(at.mean()) * largest / scale
    return ratio, ratio * float(np.hypot(_stderr(at) / at.mean(), spread / scale)), largest


def _reconciled(fit: Mapping[str, float], ratio: float, error: float) -> bool:
    """Whether an exponent excludes −1 and the excess still agrees with its leading term, which goes as 1/B."""
    return not fit["low"] <= -1 <= fit["high"] and abs(ratio - 1) <= _Z * error


def _fitted_over(rows: pd.DataFrame) -> str:
    """Over which B an exponent is fitted, and what it is from other B on."""
    used, others = small_sizes(rows), _from_others(rows)
    text = f" over B = {used[0]:,} to {used[-1]:,}" if len(used) > 1 else ""
    if others:
        values, starts = [one.value for one in others.values()], ", ".join(f"{start:,}" for start in others)
        text += f" (from {starts} on: {min(values):.2f} to {max(values):.2f}, {_held(others.values())})"
    return text.replace("-", "−")


def _from_others(rows: pd.DataFrame) -> dict[int, Exponent]:
    """Exponents fitted from another B on than the rule's."""
    return {start: one for start, one in by_start(rows).items() if start not in small_sizes(rows)[:1]}


def _held(found: Collection[Exponent]) -> str:
    return f"{sum(one.low <= -1 <= one.high for one in found)} of {len(found)} intervals contain −1"


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
            text += ", steeper than 1/B: not explained here, likely a transient"
    return f"{text}."


def on_noise(table: pd.DataFrame) -> str:
    """How SGD's noise goes with its step size and its batches."""
    rows = table[table["what"].str.startswith(("SGD's", "excess at which"))]
    if rows.empty:
        return "SGD's noise could not be fitted: too many runs diverged."
    parts = [f"{what.replace(': in', ', in')} {interval_of(row)}" for what, row in fitted_of(rows).items()]
    return (
        "SGD with fresh prompts at every step, Λ = I, where small independent noise gives powers 1 of η and −1 of the "
        f"batch size. {'; '.join(parts)}."
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
