"""What the page of the spike says: every sentence follows from the tables, for the conjecture or against it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import pandas as pd

from iclab.foundations import plural
from iclab.studies.observations import SPIKE
from iclab.studies.panels import OWN

# The error rises where the 95 % interval of its ratio to that at N lies above this, and spikes above ``SPIKE``.
RISE = 1.0
# A changed table whose error at N is this many times larger says little of what was changed.
_DAMAGED = 2.0
Tables: TypeAlias = Mapping[str, pd.DataFrame]
_NAMES = {
    "learned": "learned positions",
    "shifted": "learned positions from shifted starts",
    "none": "no positions",
    "rotary": "rotary positions",
    "alibi": "ALiBi",
}
# Up to 3N, the first meet nothing about positions that is untrained, the second distances longer than in training.
_ALL_TRAINED, _NEW_DISTANCES = ("shifted", "none"), ("rotary", "alibi")
_RISES = ("far_jump", "late_jump")
_LAWS = {"fixed": "Λ = I", "random": "random Λ"}
_RESTORED = (
    "untrained rows the mean of trained ones",
    "untrained rows the last trained",
    "untrained rows wrapped onto trained",
)


def sentences(tables: Tables, n_train: int, n_prompts: int) -> list[str]:
    """The paragraphs of the page, below its findings."""
    return [
        f"GPT-2 models with five kinds of positions, alike in everything else, trained on N = {n_train} examples and "
        f"tested on up to 3N, {n_prompts:,} prompts each. Just beyond N means the mean error over M in (N, 1.5 N], far "
        "beyond that over (2N, 3N]; its jump is the difference from the error at N. a … b: the smallest and the "
        "largest over families and training seeds; brackets: the outermost ends of their 95 % bootstrap intervals over "
        "prompts. A model is counted where its interval says so: a rise is a jump above 0, a spike a ratio to the "
        f"error at N above {SPIKE:g}. A model learned less if its error at N is more than twice the mean with learned "
        "positions: its ratios say less, so weigh its jumps.",
        *(_variant(tables["spikes"], variant) for variant in _NAMES),
        _rows(tables),
        *([_two_things(tables), _hypothesis(tables)] if _shrinks(tables) else []),
    ]


def findings(tables: Tables, dimension: int) -> list[str]:
    """The lines of the first page."""
    kind, reason = _weighed(tables, dimension)
    found = [_shrinking(tables)]
    if _spiking(tables):
        found = [*_restoring(tables["spikes"]), _length(tables["spikes"]), *found]
    return [f"{kind}: {reason}", *(f"Found: {one}" for one in found)]


def _own(spikes: pd.DataFrame, *variants: str, treatment: str = "as trained") -> pd.DataFrame:
    """Models tested on the law that they were trained on."""
    rows = spikes[spikes["variant"].isin(variants) & (spikes["treatment"] == treatment)]
    return rows[rows["panel"] == rows["family"].map(OWN)]


def _number(value: float, digits: int = 3) -> str:
    return f"{value:.{digits}g}".replace("-", "−")


def _range(values: pd.Series, digits: int = 3) -> str:
    low, high = _number(values.min(), digits), _number(values.max(), digits)
    return low if low == high else f"{low} … {high}"


def _bracketed(rows: pd.DataFrame, key: str) -> str:
    """Range of a statistic, and the outermost ends of its intervals."""
    low, high = _number(rows[f"{key}_low"].min(), 2), _number(rows[f"{key}_high"].max(), 2)
    return f"{_range(rows[key])} [{low}, {high}]"


def _counted(**which: pd.Series) -> str:
    """In how many models something is so: "spike in 1, rise in 2 of 4 models"."""
    total = len(next(iter(which.values())))
    counts = ", ".join(f"{name.replace('_', ' ')} in {int(mask.sum())}" for name, mask in which.items())
    return f"{counts} of {total} model{'s' if total > 1 else ''}"


def _less(spikes: pd.DataFrame, rows: pd.DataFrame) -> pd.Series:
    """Which models learned less than those with learned positions."""
    bound = 2 * _own(spikes, "learned").groupby("family")["error_at_N"].mean()
    return rows["error_at_N"] > rows["family"].map(bound)


def _variant(spikes: pd.DataFrame, variant: str) -> str:
    rows = _own(spikes, variant)
    less = _less(spikes, rows)
    name = _NAMES[variant] + (f" ({_counted(learned_less=less)})" if less.any() else "")
    near, far = (_window(rows, window) for window in ("near", "far"))
    return (
        f"{name[0].upper()}{name[1:]}: error/d at N {_range(rows['error_at_N'])} on the law of training (standard "
        f"errors at most {_number(rows['stderr_at_N'].max(), 2)}); just beyond {near}; far beyond {far}."
    )


def _window(rows: pd.DataFrame, window: str) -> str:
    spike = rows[f"{window}_low"] > SPIKE
    counts = _counted(**({"spike": spike} if spike.any() else {}), rise=rows[f"{window}_jump_low"] > 0)
    return f"{_range(rows[window])} times that, jump {_bracketed(rows, f'{window}_jump')} ({counts})"


def _spiking(tables: Tables) -> bool:
    """Whether every model with learned positions spikes just beyond N on its own law."""
    return bool((_own(tables["spikes"], "learned")["near_low"] > SPIKE).all())


def _weighed(tables: Tables, dimension: int) -> tuple[str, str]:
    """The verdict on the paper's conjecture, and why."""
    spikes = tables["spikes"]
    learned = _own(spikes, "learned")
    if not _spiking(tables):
        return (
            "Undecided",
            f"whether untrained absolute positions cause the spike (d = {dimension}): with learned positions the error "
            f"just beyond N has a {_counted(spike=learned['near_low'] > SPIKE)} at this size.",
        )
    names = [name for name in _NAMES if name != "learned"]
    near, far = (
        [name for name in names if (_own(spikes, name)[f"{window}_low"] > SPIKE).any()] for window in ("near", "far")
    )
    if near:
        return (
            "In part" if len(near) < len(names) else "Refuted",
            f"at d = {dimension} the error just beyond N is {_span(learned)} times that at N with learned positions, "
            f"but it also spikes with {_listed(near)}, {_span(_own(spikes, *near))} times: untrained absolute "
            "positions, the paper's conjecture, are not the only cause.",
        )
    zero = _own(spikes, "learned", treatment="untrained rows zero")["near_low"] > SPIKE
    but = f", but setting those to zero keeps it{'' if zero.all() else f' in {zero.sum()} of {len(zero)} models'}"
    too = f"; far beyond N {_listed(far)} spike too"
    return (
        "In part" if far or zero.any() else "Confirmed",
        "as the paper conjectures, the spike just beyond N comes with absolute positions untrained there (error "
        f"{_span(learned)} times that at N; {_span(_own(spikes, *names))} times with other kinds; d = {dimension})"
        f"{but if zero.any() else too if far else ''}.",
    )


def _span(rows: pd.DataFrame) -> str:
    """The ratio just beyond N, in words for the first page."""
    return _range(rows["near"], 2).replace(" … ", " to ")


def _listed(names: Sequence[str]) -> str:
    every = len(names) == len(_NAMES) - 1
    return "every other kind" if every else ", ".join(_NAMES[name] for name in names)


def _restoring(spikes: pd.DataFrame) -> list[str]:
    """What trained rows in place of untrained ones do to the spike, in how many cases."""
    rows = pd.concat([_own(spikes, "learned", treatment=name) for name in _RESTORED])
    if rows.empty:
        return []
    without, above = int((rows["near_low"] <= SPIKE).sum()), int((rows["far_jump_low"] > 0).sum())
    return [
        "with trained positions in place of the untrained ones no spike is left just beyond N in "
        f"{without} of {plural(len(rows), 'case')}; far beyond, the error is above that at N in {above}."
    ]


def _length(spikes: pd.DataFrame) -> str:
    """What longer prompts do where nothing else is new, and where encoded distances are."""
    plain, distant = _own(spikes, *_ALL_TRAINED), _own(spikes, *_NEW_DISTANCES)
    # Errors should fall with more examples: a rise may begin below the error at N.
    above, late = ([int((rows[f"{key}_low"] > 0).sum()) for rows in (plain, distant)] for key in _RISES)
    listed = "; ".join(
        f"{_NAMES[str(variant)]} trained on {_LAWS[str(family)]}, {_range(rows['far'])} times"
        for (variant, family), rows in distant[distant["far_jump_low"] > 0].groupby(["variant", "family"], sort=False)
    )
    others = spikes[spikes["variant"].isin(_ALL_TRAINED)].drop(plain.index)
    elsewhere = f" (on other laws, in {int((others['late_jump_low'] > 0).sum())} of {plural(len(others), 'test')})"
    both = pd.concat([plain, distant])
    less = int(_less(spikes, both).sum())
    return (
        f"far beyond N, on the law of training, the error is above that at N in {above[0]} of "
        f"{plural(len(plain), 'model')} without untrained positions (none at all, or learned from shifted starts) and "
        f"in {above[1]} of {len(distant)} given distances longer than in training (rotary, ALiBi)"
        f"{f': {listed}' if listed else ''}. From just to far beyond N it rises in {late[0]} of the "
        f"former{elsewhere if len(others) else ''} and {late[1]} of the latter."
        + (f" Of these {len(both)} models {less} learned less." if less else "")
    )


def _rows(tables: Tables) -> str:
    """The decomposition without retraining."""
    spikes = tables["spikes"]
    table = tables["tables"][tables["tables"]["variant"] == "learned"]
    key = ["family", "training_seed"]
    before = _own(spikes, "learned").set_index(key)["near"]
    zero = _own(spikes, "learned", treatment="untrained rows zero").set_index(key)["near"]
    late = _own(spikes, "learned", treatment="begun at untrained rows")
    size, change = table["untrained_rows"] / table["trained_rows"], zero / before
    indifferent = bool((size < 0.5).all() and ((change - 1).abs() < 0.2).all())
    meaning = ", so their noise is not the cause" if indifferent and _spiking(tables) else ""
    replaced = {name: rows for name in _RESTORED if len(rows := _own(spikes, "learned", treatment=name))}
    restored = "; ".join(
        f"{name.removeprefix('untrained rows ')}, "
        + " and ".join(
            f"{_range(own['near'])} ({_LAWS[str(family)]})" for family, own in rows.groupby("family", sort=False)
        )
        for name, rows in replaced.items()
    )
    left = any((rows["near_low"] > SPIKE).any() for rows in replaced.values())
    return (
        f"The learned table changed without retraining. Untrained rows, still as they were drawn, have {_range(size)} "
        f"of the size of trained ones. Setting them to zero multiplies the ratio just beyond by {_range(change)}"
        f"{meaning}. Prompts of N examples that begin at untrained rows differ from those of training in their "
        f"positions alone and have {_bracketed(late, 'at_N')} times the error at N."
        + (
            f" With trained rows in place of untrained ones the ratio just beyond is: with {restored}."
            if restored
            else ""
        )
        + (" Where a spike is left, the row must be the right one, or length matters too." if left else "")
    )


def _ends(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, float]:
    """The rows of the smallest and of the largest c, and the latter."""
    c = float(table["c"].max())
    return table[table["c"] == table["c"].min()], table[table["c"] == c], c


def _shrinks(tables: Tables) -> bool:
    """Whether the ratio of every model with learned positions falls from c = 1 to the largest c."""
    _, top, _ = _ends(tables["variance"])
    return _spiking(tables) and bool((top["log_ratio_fall_low"] > 0).all())


def _shrinking(tables: Tables) -> str:
    """The answer to the puzzle."""
    low, top, c = _ends(tables["variance"])
    if not _shrinks(tables):
        return (
            f"why the spike shrinks at higher variance cannot be told at this size: just beyond N the error ratio of "
            f"learned positions is {_counted(smaller=top['log_ratio_fall_low'] > 0)} at c = {c:g} than at c = 1."
        )
    falls = tables["variance"].groupby(["family", "training_seed"])["jump_change_high"].min() < 0
    how = "as a ratio" if falls.mean() <= 0.5 else "also as a difference"
    changes = "; ".join(_changed(rows, c) for c, rows in list(tables["variance"].groupby("c"))[1:])
    return (
        f"the spike shrinks at higher variance {how}: on c·Exp(1) the error just beyond N is {_range(low['ratio'])} "
        f"times that at N at c = 1 and {_range(top['ratio'])} times at c = {c:g}. The difference of the two is "
        f"{changes}."
    )


def _changed(rows: pd.DataFrame, c: object) -> str:
    """In how many models the jump at c is larger or smaller than at the smallest c."""
    larger, smaller = rows["jump_change_low"] > 0, rows["jump_change_high"] < 0
    counts = {"larger": larger, "smaller": smaller, "undecided": ~(larger | smaller)}
    return f"{_counted(**{name: mask for name, mask in counts.items() if mask.any()})} at c = {c:g}"


def _two_things(tables: Tables) -> str:
    low, top, c = _ends(tables["variance"])
    share = top["share_of_base"]
    part = f", {_range(100 * share)} % of the fall of log(jump / error at N)" if share.notna().all() else ""
    key = "jump_over_c_against_c1"
    constant = (top[f"{key}_low"] <= 1 / c) & (1 / c <= top[f"{key}_high"])
    return (
        "The paper is unsure why the spike shrinks at higher variance. Two things can make its ratio fall. The error "
        f"at N can grow faster than c: over c it goes from {_range(low['base_over_c'])} to "
        f"{_range(top['base_over_c'])}{part}. And the jump can grow more slowly than c: over c it is "
        f"{_bracketed(top, key)} at c = {c:g} of what it is at c = 1 (a constant jump would give {1 / c:.2g}, inside "
        f"{int(constant.sum())} of {plural(len(top), 'interval')})."
    )


def _hypothesis(tables: Tables) -> str:
    """What the relative size of positions predicts, and how often it comes about."""
    weight_low, weight_top, c = _ends(tables["tables"][tables["tables"]["variant"] == "learned"])
    variance, changed = tables["variance"], tables["interventions"]
    treated = changed[changed["treatment"] != "as trained"]
    missed = (treated["gap_low"] > 0) | (treated["gap_high"] < 0)
    # The larger table should raise the jump over c, the smaller one lower it.
    up, down = treated["change_low"] > 0, treated["change_high"] < 0
    grown = treated["tested_at"] == treated["c"]
    models = [treated["family"], treated["training_seed"]]
    moves = (up | down).groupby(models).any()
    always = int((up & grown | down & ~grown).groupby(models).all().sum())
    key = ["family", "training_seed", "c"]
    before = variance.set_index(key)["base_over_c"]
    damage = treated.set_index([*key[:2], "tested_at"])["base_over_c"].rename_axis(key) / before
    return (
        "A hypothesis for the second: positions are added to tokens that grow with √c, and layer normalisation divides "
        "by their size, so that a fault in the positions weighs less (rows have "
        f"{_range(weight_low['trained_over_tokens'])} of the size of input tokens at c = 1, "
        f"{_range(weight_top['trained_over_tokens'])} at c = {c:g}). To first order that makes the jump the same at "
        "every c; the findings above say where it is not. "
        "If the hypothesis held, the whole table times √c at c would bring the jump over c back to that at c = 1, and "
        f"over √c at c = 1 down to that at c: {int(missed.sum())} of these {plural(len(treated), 'prediction')} lie "
        f"outside the 95 % interval of what was measured (table). The change moves the jump in {int(moves.sum())} of "
        f"{plural(len(moves), 'model')}, in {always} of them always in the predicted direction. It also multiplies "
        f"the error at N by {_range(damage)}"
        + (", so this tests the hypothesis only roughly." if damage.max() > _DAMAGED else ".")
    )
