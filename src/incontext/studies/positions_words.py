"""What the page of the spike says: every sentence follows from the tables, for the conjecture or against it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import pandas as pd

from incontext.studies.panels import OWN

# The error spikes, and rises, where the 95 % interval of its ratio to that at N lies above these.
SPIKE, RISE = 2.0, 1.0
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
_LAWS = {"fixed": "Λ = I", "random": "random Λ"}
_RESTORING = (
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


def findings(tables: Tables) -> list[str]:
    """The lines of the first page."""
    kind, reason = _weighed(tables)
    return [f"{kind}: {reason}", f"Found: {_shrinking(tables)}"]


def _own(spikes: pd.DataFrame, *variants: str, treatment: str = "as trained") -> pd.DataFrame:
    """Models tested on the law that they were trained on."""
    rows = spikes[spikes["variant"].isin(variants) & (spikes["treatment"] == treatment)]
    return rows[rows["panel"] == rows["family"].map(OWN)]


def _number(value: float, digits: int = 3) -> str:
    return f"{value:.{digits}g}".replace("-", "−")


def _range(values: pd.Series) -> str:
    low, high = _number(values.min()), _number(values.max())
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


def _learned_less(spikes: pd.DataFrame, rows: pd.DataFrame) -> str:
    bound = 2 * _own(spikes, "learned").groupby("family")["error_at_N"].mean()
    less = rows["error_at_N"] > rows["family"].map(bound)
    return f" ({_counted(learned_less=less)})" if less.any() else ""


def _variant(spikes: pd.DataFrame, variant: str) -> str:
    rows = _own(spikes, variant)
    name = _NAMES[variant] + _learned_less(spikes, rows)
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


def _weighed(tables: Tables) -> tuple[str, str]:
    """The verdict on the paper's conjecture, and why."""
    spikes = tables["spikes"]
    learned = _own(spikes, "learned")
    if not _spiking(tables):
        return (
            "Undecided",
            "whether untrained absolute positions cause the spike: with learned positions the error just beyond N has "
            f"a {_counted(spike=learned['near_low'] > SPIKE)} at this size.",
        )
    names = [name for name in _NAMES if name != "learned"]
    others = _own(spikes, *names)
    part = f"with learned positions the error/d there is {_times(learned, 'near')}"
    near = [name for name in names if (_own(spikes, name)["near_low"] > SPIKE).any()]
    if not near:
        return (
            "In part" if (others["far_low"] > SPIKE).any() else "Confirmed",
            f"as the paper conjectures, the spike just beyond N comes from untrained absolute positions: {part}, "
            f"with the other kinds{_learned_less(spikes, others)} {_times(others, 'near')}. {_length(spikes)}",
        )
    return (
        "In part" if len(near) < len(names) else "Refuted",
        f"untrained absolute positions, the paper's conjecture, are not the only cause of the spike just beyond N: "
        f"{part}, but it also spikes "
        f"with {', '.join(_NAMES[name] for name in near)}, {_times(_own(spikes, *near), 'near')}. {_length(spikes)}",
    )


def _times(rows: pd.DataFrame, window: str) -> str:
    return f"{_range(rows[window])} times that at N (difference {_range(rows[f'{window}_jump'])})"


def _length(spikes: pd.DataFrame) -> str:
    """What longer prompts do where nothing else is new, and where encoded distances are."""
    plain, distant = _own(spikes, *_ALL_TRAINED), _own(spikes, *_NEW_DISTANCES)
    rises, also = plain["far_jump_low"] > 0, distant["far_jump_low"] > 0
    listed = "; ".join(
        f"{_NAMES[str(variant)]} trained on {_LAWS[str(family)]}, {_range(rows['far'])} times"
        for (variant, family), rows in distant[also].groupby(["variant", "family"], sort=False)
    )
    if rises.any():
        meaning = "So length costs something by itself in some models."
    elif also.any():
        meaning = "There length and new distances are not separated; of length alone the intervals show no rise."
    else:
        meaning = "So nothing here points to length as a cause."
    return (
        f"Far beyond N the error {_counted(rises=rises)} without untrained positions (none at all, or learned from "
        f"shifted starts), {_range(plain['far'])} times that at N{_learned_less(spikes, plain)}; and "
        f"{_counted(rises=also).removeprefix('rises ')} given distances longer than in training (rotary, ALiBi)"
        f"{f': {listed}' if listed else ''}. {meaning}"
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
    meaning = (
        " So it is not the noise of random rows that hurts, but that what trained rows say is missing."
        if indifferent and _spiking(tables)
        else ""
    )
    restored = "; ".join(
        f"{name.removeprefix('untrained rows ')}, {_range(rows['near'])} just and {_range(rows['far'])} far beyond"
        for name in _RESTORING
        if len(rows := _own(spikes, "learned", treatment=name))
    )
    return (
        f"The learned table changed without retraining. Untrained rows, still as they were drawn, have {_range(size)} "
        f"of the size of trained ones, and setting them to zero multiplies the ratio just beyond by {_range(change)}."
        f"{meaning} Prompts of N examples that begin at untrained rows differ from those of training in their "
        f"positions alone and have {_bracketed(late, 'at_N')} times the error at N. Giving later tokens rows that were "
        f"trained leaves length, and a wrong place; times the error at N, with {restored}."
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
    changes = "; ".join(
        f"{_counted(larger=rows['jump_change_low'] > 0, smaller=rows['jump_change_high'] < 0)} at c = {value:g} "
        "(otherwise undecided)"
        for value, rows in tables["variance"].groupby("c")
        if value != low["c"].iloc[0]
    )
    return (
        f"the spike shrinks at higher variance {how}: on c·Exp(1) the error just beyond N is {_range(low['ratio'])} "
        f"times that at N at c = 1 and {_range(top['ratio'])} times at c = {c:g}, while the error at N goes from "
        f"{_range(low['base'])} to {_range(top['base'])}. The "
        f"difference of the two, {_range(low['jump'])} at c = 1, is {changes}."
    )


def _two_things(tables: Tables) -> str:
    low, top, c = _ends(tables["variance"])
    return (
        "The paper is unsure why the spike shrinks at higher variance. Two things can make its ratio fall. The error "
        f"at N can grow faster than c: over c it goes from {_range(low['base_over_c'])} to "
        f"{_range(top['base_over_c'])}, which accounts for {_range(100 * top['share_of_base'])} % of the fall of the "
        "ratio's logarithm. And the jump can grow more slowly than c: over c it is "
        f"{_bracketed(top, 'jump_over_c_against_c1')} at c = {c:g} of what it is at c = 1 (a constant jump would give "
        f"{1 / c:.2g})."
    )


def _hypothesis(tables: Tables) -> str:
    """What the relative size of positions predicts, and how often it comes about."""
    weight_low, weight_top, c = _ends(tables["tables"][tables["tables"]["variant"] == "learned"])
    changed = tables["interventions"]
    treated = changed[changed["treatment"] != "as trained"]
    measured = "; ".join(_changed(rows, float(str(value))) for value, rows in changed.groupby("c"))
    missed = (treated["gap_low"] > 0) | (treated["gap_high"] < 0)
    # The larger table should raise the jump over c, the smaller one lower it.
    up, down = treated["change_low"] > 0, treated["change_high"] < 0
    grown = treated["tested_at"] == treated["c"]
    models = [treated["family"], treated["training_seed"]]
    fails, moves = missed.groupby(models).any(), (up | down).groupby(models).any()
    always = (up & grown | down & ~grown).groupby(models).all()
    conclusion = f"So the hypothesis {_counted(fails=fails)}" + (
        ": there the relative size of positions alone does not explain the jump." if fails.any() else "."
    )
    _, plain, _ = _ends(changed[changed["treatment"] == "as trained"])
    _, larger, _ = _ends(treated[grown])
    _, smaller, _ = _ends(treated[~grown])
    return (
        "A hypothesis for the second: positions are added to tokens that grow with √c, and layer normalisation divides "
        "by their size, so that a fault in the positions weighs less (rows have "
        f"{_range(weight_low['trained_over_tokens'])} of the size of input tokens at c = 1, "
        f"{_range(weight_top['trained_over_tokens'])} at c = {c:g}); to first order that makes the jump constant. If "
        "so, multiplying the table by √c at c brings the jump over c back to that at c = 1, and dividing it by √c at "
        "c = 1 brings it down to that at c. Measured over the jump at c = 1 (larger, smaller: than before the change): "
        f"{measured}. Of {len(treated)} predictions {int(missed.sum())} lie outside the 95 % interval of what was "
        f"measured. {conclusion} The size of the table "
        f"{_counted(moves_the_jump=moves, always_in_the_predicted_direction=always)}. Both changes move the error "
        f"at N, over c: {_range(plain['base_over_c'])} at c = {c:g} becomes {_range(larger['base_over_c'])}; with the "
        f"smaller table it is {_range(smaller['base_over_c'])} at c = 1."
    )


def _changed(rows: pd.DataFrame, c: float) -> str:
    """What both changes of the table do at one c."""
    plain = rows["treatment"] == "as trained"
    grown = (rows["tested_at"] == c) & ~plain
    larger, smaller = (
        f"{_bracketed(some, 'against_c1')} ("
        + _counted(
            larger=some["change_low"] > 0,
            smaller=some["change_high"] < 0,
            as_predicted=(some["gap_low"] <= 0) & (some["gap_high"] >= 0),
        )
        + ")"
        for some in (rows[grown], rows[~plain & ~grown])
    )
    return (
        f"at c = {c:g}, as trained {_range(rows[plain]['against_c1'])}, with the larger table {larger}, at c = 1 with "
        f"that smaller by √{c:g} {smaller}"
    )
