"""What the study of finite data says, computed from its tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from incontext.foundations import plus_minus
from incontext.prompts import Gaussian
from incontext.studies.exponents import Exponent, exponents
from incontext.studies.finite_prompts import AVERAGE, FIXED, LINEAR, RANDOM, WHOLE
from incontext.studies.finite_tasks import DMMSE, FRESH, LEAST_SQUARES, LSA, MODEL, POOL, RIDGE
from incontext.theory import expected_risk

if TYPE_CHECKING:
    from incontext.studies.finite_data import FiniteDataSettings

# Share of bootstrap samples from which on a nearest algorithm is named.
_CERTAIN = 0.95
# Excess over the gain of the minimiser above which the leading term does not speak yet.
_SMALL = 0.2
# Width of an interval of an exponent beyond which it tells none.
_VAGUE = 1.0


def best_rates(one_pass: pd.DataFrame) -> pd.DataFrame:
    """Per law and B the batch, rate and iterate of least mean excess, in hindsight, with all samples."""
    keys = ["law", "n_prompts", "batch", "rate", "iterate"]
    means = one_pass.groupby(keys, sort=False)["excess"].mean().reset_index()
    best = means.loc[means.groupby(["law", "n_prompts"])["excess"].idxmin(), keys]
    return one_pass.merge(best, on=keys)


def measured_exponents(tables: Mapping[str, pd.DataFrame], settings: FiniteDataSettings) -> pd.DataFrame:
    """Every exponent with its interval, and what it should be where that is known: one row each."""
    found: list[tuple[str, Exponent, float, str]] = []

    def fit(what: str, rows: pd.DataFrame, x: str, value: str, by: str, expected: float) -> None:
        table = rows.pivot_table(index=by, columns=x, values=value)
        means = table.mean()
        table = table[[column for column in table.columns if 0 < means[column] < np.inf]]
        if table.shape[0] >= 2 and table.shape[1] >= 2:
            columns = table.columns.to_numpy(dtype=np.float64)
            used = f"{x} from {columns.min():g} to {columns.max():g}"
            found.append((what, exponents(columns, table.to_numpy())[0], expected, used))

    empirical = tables["empirical"]
    for (law, kind), rows in empirical.groupby(["law", "kind"], sort=False):
        means = rows.groupby("n_prompts")["relative"].transform("mean")
        fit(f"empirical minimiser, {kind}, {law}: in B", rows[means < _SMALL], "n_prompts", "excess", "sample", -1.0)
    for law, rows in best_rates(tables["one_pass"]).groupby("law", sort=False):
        means = rows.groupby("n_prompts")["relative"].transform("mean")
        rows = rows[np.isfinite(means) & (means < _SMALL)]
        fit(f"one pass of SGD, best choice, {law}: in B", rows, "n_prompts", "excess", "sample", np.nan)
    noise = tables["noise"]
    for value, words, powers in (
        ("squared_gap", "SGD's squared distance to the flow", (1.0, -1.0)),
        ("excess", "excess at which SGD wanders", (1.0, -1.0)),
    ):
        table = noise.pivot_table(index="sample", columns=["rate", "batch_size"], values=value)
        table = table[[column for column in table.columns if np.isfinite(table[column]).all()]]
        keys = np.array(table.columns.tolist(), dtype=np.float64)
        if len(table) >= 2 and len({k[0] for k in keys}) > 1 and len({k[1] for k in keys}) > 1:
            both = exponents(keys, table.to_numpy())
            used = f"{len(keys)} pairs"
            found += [
                (f"{words}: in {name}", one, power, used)
                for name, one, power in zip(("η", "B"), both, powers, strict=True)
            ]
    pooled = tables["pooled_layer"]
    fit(
        "layer on a pool, fresh tasks: in K",
        pooled[pooled["n_tasks"] >= 4 * settings.dimension],
        "n_tasks",
        "excess",
        "sample",
        -1.0,
    )
    measured, law = tables["measured"], Gaussian.isotropic(settings.dimension)
    largest = int(measured["N"].max())
    column = measured[measured["N"] == largest]
    above = column.assign(above=column["mean"] - expected_risk(law, largest, np.inf))
    fit(f"trained layer, N = {largest}, above its floor: in M", above, "M", "above", "group", -1.0)
    long = measured[(measured["N"] == measured["M"]) & (measured["N"] >= 4 * settings.dimension)]
    pairs = long.drop_duplicates("M")
    expected = np.nan if len(pairs) < 2 else float(np.polyfit(np.log(pairs["M"]), np.log(pairs["exact"]), 1)[0])
    fit("trained layer, N = M: in M", long, "M", "mean", "group", expected)
    rows = [(what, e.value, e.low, e.high, e.n, expected, used) for what, e, expected, used in found]
    return pd.DataFrame(rows, columns=["what", "value", "low", "high", "n", "expected", "fitted_over"])


def sentences(tables: Mapping[str, pd.DataFrame], settings: FiniteDataSettings) -> list[str]:
    """The paragraphs of the section."""
    return [
        *_on_prompts(tables, settings),
        _on_noise(tables["exponents"]),
        _on_layers(tables, settings),
        *_on_transformers(tables["transformers"], settings),
        *_on_lengths(tables, settings),
    ]


def summary(tables: Mapping[str, pd.DataFrame], settings: FiniteDataSettings) -> list[str]:
    """Lines for the first page."""
    fitted = _fitted(tables["exponents"])
    best = tables["best_lengths"]
    at_m = int((best["best_N"] == best["M"]).sum())
    lines = [
        f"{'Confirmed' if at_m == len(best) else 'In part'}: the error falls as O(1/M + 1/N²), a bound: to second "
        "order it is (d + 1)trΛ/M + A(1/N² − 2/(NM)), so that prompts as long as at test are best to train on "
        f"(on {at_m} of {len(best)} pairs of law and M), and longer ones hurt.",
    ]
    key = f"empirical minimiser, {LINEAR}, {FIXED}: in B"
    if key in fitted:
        lines.append(
            f"Found: the layer that minimises the risk of B training prompts exceeds Theorem 4's loss as "
            f"B^{_interval(fitted[key])}."
        )
    first = _first_ridge(tables["transformers"], settings.n_train)
    if first is not None:
        lines.append(
            f"Found: on fresh tasks GPT-2 trained on K tasks answers as ridge, not as the pool's Bayes predictor, from "
            f"K = {first} on (d = {settings.dimension}, N = M = {settings.n_train}, {settings.noise:g} label noise)."
        )
    return lines


def captions(settings: FiniteDataSettings) -> dict[str, str]:
    """Captions of the tables that the page prints."""
    return {
        "exponents": "Exponents with 95 % Student intervals of the jackknife over n independent replicates, and what "
        "leading orders, or exact values over the same lengths, say",
        "coefficients": f"Fixed Λ of trace {settings.dimension}: N² times the floor, Σ(l_i + t)²/l_i, and Corollary "
        "6's coefficient of 1/N²; M times what is above the floor, and (d + 1)trΛ",
        "best_lengths": "The best training length of the grid for every test length, and the cost of the longest",
    }


def _on_prompts(tables: Mapping[str, pd.DataFrame], settings: FiniteDataSettings) -> list[str]:
    empirical, leading = tables["empirical"], tables["leading"].set_index("law")
    fitted = _fitted(tables["exponents"])
    best = best_rates(tables["one_pass"])
    out = []
    for law in (FIXED, RANDOM):
        rows = empirical[(empirical["law"] == law) & (empirical["kind"] == LINEAR)]
        largest = int(rows["n_prompts"].max())
        at = rows[rows["n_prompts"] == largest]["excess"]
        scale, spread = (float(leading[column].loc[law]) for column in ("value", "stderr"))
        key = f"empirical minimiser, {LINEAR}, {law}: in B"
        ratio, error = float(at.mean()) * largest / scale, _stderr(at) * largest / scale
        text = (
            f"{law} (d = {settings.layer_dimension}, N = {settings.layer_n_train}): the K that minimises the risk of "
            f"B prompts exceeds the minimum of the population loss as B^{_found(fitted, key)}; at B = {largest:,} the "
            f"excess is {plus_minus(ratio, 1.96 * error)} times its leading term ½E[r²Z'H⁻¹Z]/B, whose coefficient is "
            f"{plus_minus(scale, 1.96 * spread)}. "
        )
        few = rows.groupby("n_prompts")["relative"].mean()
        worse = few.index.to_numpy()[few.to_numpy() > 1]
        if len(worse):
            text += (
                f"Up to B = {worse.max():,} its mean excess is larger than that of predicting zero: products of four "
                "Gaussians have heavy tails. "
            )
        key = f"empirical minimiser, {WHOLE}, {law}: in B"
        if key in fitted:
            text += f"Minimised over all parameters from there by L-BFGS: B^{_found(fitted, key)}. "
        chosen = best[(best["law"] == law) & (best["n_prompts"] == largest)]
        own = chosen["excess"]
        if len(own) and np.isfinite(own).all():
            against = float(own.mean()) / float(at.mean())
            text += (
                f"SGD that sees each prompt once, with the best of its choices in hindsight, has {against:.2g} times "
                f"the excess of the empirical minimiser at B = {largest:,} (batches of {chosen['batch'].iloc[0]}, η = "
                f"{chosen['rate'].iloc[0]:g}, {'averaged' if chosen['iterate'].iloc[0] == AVERAGE else 'last'} iterate)"
            )
            key = f"one pass of SGD, best choice, {law}: in B"
            where = f"; where its excess is below {_SMALL:g} of the gain it goes as B^{_found(fitted, key)}."
            text += where if key in fitted else "."
        else:
            text += "One pass of SGD diverges with every choice tried."
        out.append(text)
    return out


def _on_noise(table: pd.DataFrame) -> str:
    rows = table[table["what"].str.startswith(("SGD's", "excess at which"))]
    if rows.empty:
        return "SGD's noise could not be fitted: too many runs diverged."
    parts = []
    for what, row in _fitted(rows).items():
        holds = row["low"] <= row["expected"] <= row["high"]
        parts.append(
            f"{what}: {_interval(row)}, which {'contains' if holds else 'excludes'} the {row['expected']:g} of small "
            "independent noise".replace("-", "−")
        )
    return f"SGD with B fresh prompts per step, Λ = I. {'; '.join(parts)}."


def _on_layers(tables: Mapping[str, pd.DataFrame], settings: FiniteDataSettings) -> str:
    means = tables["pooled_layer"].groupby("n_tasks")[["pool", "fresh", "infinite_pool", "excess"]].mean()
    fitted = _fitted(tables["exponents"])
    zero = settings.dimension
    relative = means["excess"] / zero
    enough = relative[relative < 0.1]
    text = (
        "The linear layer trained on a pool of K tasks depends on them only through their second moment, exactly (a = "
        f"b = 0). On fresh tasks its mean error over {settings.n_pools} pools exceeds that of endless tasks as "
        f"K^{_found(fitted, 'layer on a pool, fresh tasks: in K')}"
    )
    if len(enough):
        count = int(enough.index.min())
        text += f", and by less than a tenth of the zero estimator's error from K = {count} = {count / zero:.2g} d on"
    one = means.iloc[0]
    return text + (
        f"; at K = {int(means.index[0])} its error/d is {one['fresh'] / zero:.2g} on fresh tasks and "
        f"{one['pool'] / zero:.2g} on the pool. It cannot memorise more of a pool than a covariance."
    )


def _on_transformers(table: pd.DataFrame, settings: FiniteDataSettings) -> list[str]:
    at = table[table["position"] == settings.n_train]
    pools, fresh = at[at["tasks"] == POOL], at[at["tasks"] == FRESH]

    def errors(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.pivot_table(index="n_tasks", columns="predictor", values="error", dropna=False)

    lines = []
    if len(pools):
        found = errors(pools)
        listed = "; ".join(
            f"K = {int(k)}: {row[MODEL]:.2g} ({DMMSE} {row[DMMSE]:.2g}, {RIDGE} {row[RIDGE]:.2g}, {LSA} {row[LSA]:.2g})"
            for k, row in zip(found.index.to_numpy(), found.to_dict("records"), strict=True)
        )
        beats = int((found[MODEL] < found[RIDGE]).sum())
        lines.append(
            f"GPT-2 trained on K tasks with label noise {settings.noise:g} (d = {settings.dimension}, N = M = "
            f"{settings.n_train}), error/d on tasks of the pool: {listed}. It beats ridge there on {beats} of "
            f"{len(found)} pools."
        )
    nearest = _nearest(fresh)
    named = "; ".join(
        f"{'endless' if np.isnan(k) else f'K = {int(k)}'}: {name} (distance {distance:.2g}, {share:.0%})"
        for k, name, distance, share in nearest
    )
    first = _first_ridge(table, settings.n_train)
    verdict = (
        f"From K = {first} on it is ridge in at least {_CERTAIN:.0%} of bootstrap samples: it has left the Bayes "
        "predictor of its own pool and found that of all tasks"
        if first is not None
        else "At no K of those tried is it ridge in at least "
        f"{_CERTAIN:.0%} of bootstrap samples; the transition to ridge is not seen here"
    )
    lines.append(f"On fresh tasks the nearest algorithm (share of bootstrap samples) is, by K: {named}. {verdict}.")
    own = at[at["predictor"] == MODEL]
    gap = own.pivot_table(index="n_tasks", columns="tasks", values="error")
    if FRESH in gap and POOL in gap:
        ratios = gap[FRESH] / gap[POOL]
        lines[-1] += (
            f" Its error on fresh tasks is {ratios.iloc[0]:.3g} times that on its pool at K = {int(gap.index[0])} and "
            f"{ratios.iloc[-1]:.3g} times at K = {int(gap.index[-1])}."
        )
    ends = fresh[np.isnan(fresh["n_tasks"])]
    if len(ends):
        row = ends.groupby("predictor")["error"].mean()
        lines[-1] += (
            f" Trained on endless tasks it has error/d {row[MODEL]:.3g}, ridge {row[RIDGE]:.3g}, least squares "
            f"{row[LEAST_SQUARES]:.3g}."
        )
    return lines


def _nearest(rows: pd.DataFrame) -> list[tuple[float, str, float, float]]:
    """Per K: the nearest classical algorithm on average over training seeds, its distance, its least frequency."""
    found = []
    for k, part in rows[rows["predictor"] != MODEL].groupby("n_tasks", dropna=False):
        means = part.groupby("predictor")["distance"].mean()
        name = str(means.idxmin())
        share = float(part[part["predictor"] == name]["frequency"].min())
        found.append((float(k), name, float(means.min()), share))  # type: ignore[arg-type]
    return found


def _first_ridge(table: pd.DataFrame, position: int) -> int | None:
    """The smallest finite K from which on ridge is the nearest on fresh tasks, with certainty."""
    rows = table[(table["tasks"] == FRESH) & (table["position"] == position) & np.isfinite(table["n_tasks"])]
    first = None
    for k, name, _, share in reversed(_nearest(rows)):
        if name != RIDGE or share < _CERTAIN:
            break
        first = int(k)
    return first


def _on_lengths(tables: Mapping[str, pd.DataFrame], settings: FiniteDataSettings) -> list[str]:
    d, slopes, best, coefficients = settings.dimension, tables["slopes"], tables["best_lengths"], tables["coefficients"]
    floor = slopes[(slopes["what"] == "floor in N") & (slopes["law"] == FIXED)].dropna()
    above = slopes[slopes["what"] == "above the floor in M"].dropna()["slope"]
    diagonal = slopes[(slopes["what"] == "N = M") & (slopes["law"] == FIXED)].dropna()
    fitted = _fitted(tables["exponents"])
    at_n = int((best["best_N"] == best["M"]).sum())
    costs = best.assign(cost=best["error_at_largest_N"] / best["error"])
    isotropic = costs[costs["law"] == FIXED]
    worst = isotropic.iloc[int(isotropic["cost"].argmax())]
    loosest = (coefficients["bound_N2"] / coefficients["N2_floor"]).max()
    exact = float((coefficients["N2_floor"] / coefficients["sum_of_squares"] - 1).abs().max())
    measured = tables["measured"]
    pairs = measured.groupby(["N", "M"]).agg(mean=("mean", "mean"), error=("mean", "sem"), exact=("exact", "first"))
    largest = float(((pairs["mean"] - pairs["exact"]) / pairs["error"]).abs().max())
    return [
        f"Train length N against test length M (d = {d}): the error is a floor A(N)/N² plus B(N)/M, "
        f"so that above the floor the exponent in M is −1 exactly (on the theory's values {above.min():.6f} to "
        f"{above.max():.6f}, four laws). The floor's local exponent in N, for Λ = I −2N/(N + d + 1), goes from "
        f"{floor['slope'].iloc[0]:.2f} (up to N = {floor['x'].iloc[0]:g}) to {floor['slope'].iloc[-1]:.3f} (N = "
        f"{floor['x'].iloc[-1]:g}); at condition 100 it is still {_last(slopes, 'condition 100'):.2f} there: 1/N² "
        f"needs N much larger than tr Λ over the smallest eigenvalue. Along N = M the exponent goes from "
        f"{diagonal['slope'].iloc[0]:.2f} to {diagonal['slope'].iloc[-1]:.3f}.",
        f"The leading coefficient of 1/N² is Σ(l_i + t)²/l_i, t = tr Λ (to {exact:.1e} at N = 10⁵), of which "
        f"Corollary 6's is up to {loosest:.2g} times over the Λ tried; that of 1/M is (d + 1)t, as in the bound. But B "
        "depends on N as well: error = (d + 1)t/M + A(1/N² − 2/(NM)) + …, and at N = M the second term is negative: "
        "−A/M².",
        f"For every M the best N is M: {at_n} of {len(best)} pairs of law and M on the grid. At fixed M a longer N "
        "hurts, as Γ then corrects too little for the noise of Λ̂: the error grows by A(1/N − 1/M)² to leading order. "
        f"For Λ = I, N = {int(worst['largest_N'])} costs a factor {worst['cost']:.3g} at M = {int(worst['M'])}. "
        "Corollary 6's bound falls with N at every M; the error itself does so only while N < M.",
        f"Layers trained by gradient descent (Λ = I) and tested on {settings.n_prompts:,} prompts (seed "
        f"{settings.seed}) agree with the exact errors to {largest:.1f} standard errors over {len(pairs)} pairs; "
        + "; ".join(
            f"{what.removeprefix('trained layer, ')}: {_interval(fitted[what])}, exact {fitted[what]['expected']:.2f}"
            for what in fitted
            if what.startswith("trained layer")
        )
        + ".",
    ]


def _last(slopes: pd.DataFrame, law: str) -> float:
    """Local exponent of the floor at the largest N."""
    return float(slopes[(slopes["what"] == "floor in N") & (slopes["law"] == law)]["slope"].iloc[-1])


_Fitted = dict[str, dict[str, float]]


def _fitted(table: pd.DataFrame) -> _Fitted:
    """The exponents by what they are of."""
    rows = table.drop(columns="fitted_over").set_index("what").to_dict("index")
    return {str(what): {str(key): float(value) for key, value in row.items()} for what, row in rows.items()}


def _found(fitted: _Fitted, key: str) -> str:
    if key not in fitted:
        return "(not fitted: the excess is too large)"
    row = fitted[key]
    vague = row["high"] - row["low"] > _VAGUE
    return _interval(row) + (", too wide an interval to tell an exponent" if vague else "")


def _interval(row: Mapping[str, float]) -> str:
    text = f"{row['value']:.2f} (95 % interval {row['low']:.2f} to {row['high']:.2f})"
    return text.replace("-", "−")


def _stderr(values: pd.Series) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))
