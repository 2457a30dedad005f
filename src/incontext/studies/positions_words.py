"""What the page of the spike says: every sentence follows from the tables, for the conjecture or against it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import pandas as pd

Tables: TypeAlias = Mapping[str, pd.DataFrame]
_NAMES = {
    "learned": "learned positions",
    "shifted": "learned positions from shifted starts",
    "none": "no positions",
    "rotary": "rotary positions",
    "alibi": "ALiBi",
}
_OWN = {"fixed": "identity", "random": "1·Exp(1)"}
_RESTORING = (
    "untrained rows the mean of trained ones",
    "untrained rows the last trained",
    "untrained rows wrapped onto trained",
)


def sentences(tables: Tables, n_train: int, n_prompts: int) -> list[str]:
    """The paragraphs of the page."""
    return [
        f"GPT-2 models with five kinds of positions, alike in everything else, trained on N = {n_train} examples and "
        f"tested on up to 3N, {n_prompts:,} prompts each. An error ratio counts as a spike when its 95 % bootstrap "
        "interval (over prompts) lies above 2, as growth when above 1.1; just beyond means the mean over M in "
        "(N, 1.5 N], far beyond that over (2N, 3N]. Ranges are over families and training seeds.",
        *(_variant(tables["spikes"], variant) for variant in _NAMES),
        _conjecture(tables),
        _rows(tables),
        _second_cause(tables),
        *_puzzle(tables),
    ]


def findings(tables: Tables) -> list[str]:
    """The lines of the first page."""
    kind, reason = _weighed(tables)
    return [f"{kind}: {reason}", f"Found: {_shrinking(tables)}"]


def _own(spikes: pd.DataFrame, variant: str, treatment: str = "as trained") -> pd.DataFrame:
    rows = spikes[(spikes["variant"] == variant) & (spikes["treatment"] == treatment)]
    return rows[rows["panel"] == rows["family"].map(_OWN)]


def _range(values: pd.Series) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:.3g}" if f"{low:.3g}" == f"{high:.3g}" else f"{low:.3g} … {high:.3g}"


def _counted(rows: pd.DataFrame, column: str, limit: float) -> int:
    return int((rows[column] > limit).sum())


def _variant(spikes: pd.DataFrame, variant: str) -> str:
    rows = _own(spikes, variant)
    name = _NAMES[variant]
    near = f"spike in {_counted(rows, 'near_low', 2)}, growth in {_counted(rows, 'near_low', 1.1)}"
    far = f"spike in {_counted(rows, 'far_low', 2)}, growth in {_counted(rows, 'far_low', 1.1)}"
    return (
        f"{name[0].upper()}{name[1:]}, on the law of training: error/d at N {_range(rows['error_at_N'])} (standard "
        f"errors at most {rows['stderr_at_N'].max():.2g}); just beyond {_range(rows['near'])} times that ({near} of "
        f"{len(rows)} models); far beyond {_range(rows['far'])} times ({far})."
    )


def _weighed(tables: Tables) -> tuple[str, str]:
    """The verdict on the paper's conjecture, and why."""
    spikes = tables["spikes"]
    learned = _own(spikes, "learned")
    others = {variant: _own(spikes, variant) for variant in _NAMES if variant != "learned"}
    near = [name for name, rows in others.items() if (rows["near_low"] > 2).any()]
    away = [name for name, rows in others.items() if (rows["far_low"] > 2).any()]
    if not _spiking(tables):
        return (
            "Undecided",
            f"whether untrained absolute positions cause the spike: with learned positions "
            f"{_counted(learned, 'near_low', 2)} "
            f"of {len(learned)} models spike just beyond N at this size.",
        )
    part = f"with learned positions the error just beyond N is {_range(learned['near'])} times that at N"
    every = pd.concat(list(others.values()))
    if not near and not away:
        return (
            "Confirmed",
            f"the spike beyond N comes from untrained absolute positions: {part}; where no position is untrained "
            f"{_range(every['near'])} times, and no such model spikes up to 3N.",
        )
    if not near:
        grown = pd.concat([others[name] for name in away])
        return (
            "In part",
            f"the spike just beyond N comes from untrained absolute positions ({part}; where none is untrained "
            f"{_range(every['near'])} times), but far beyond N the error also rises with {_listed(away)} "
            f"({_range(grown['far'])} times): length is a second cause.",
        )
    spiking = pd.concat([others[name] for name in near])
    return (
        "In part" if len(near) < len(others) else "Refuted",
        f"untrained absolute positions are not the only cause of the spike: {part}, but {_listed(near)}, where none is "
        f"untrained, also spike just beyond N ({_range(spiking['near'])} times).",
    )


def _spiking(tables: Tables) -> bool:
    """Whether every model with learned positions spikes just beyond N on its own law."""
    return bool((_own(tables["spikes"], "learned")["near_low"] > 2).all())


def _listed(variants: list[str]) -> str:
    return ", ".join(_NAMES[name] for name in variants)


def _conjecture(tables: Tables) -> str:
    kind, reason = _weighed(tables)
    return f"The paper conjectures that absolute positions that were never trained cause the spike. {kind}: {reason}"


def _rows(tables: Tables) -> str:
    """The decomposition without retraining."""
    spikes = tables["spikes"]
    table = tables["tables"][tables["tables"]["variant"] == "learned"]
    key = ["family", "training_seed"]
    before = _own(spikes, "learned").set_index(key)["near"]
    zero = _own(spikes, "learned", "untrained rows zero").set_index(key)["near"]
    late = _own(spikes, "learned", "begun at untrained rows")
    size, change = table["untrained_rows"] / table["trained_rows"], zero / before
    indifferent = bool((size < 0.5).all() and ((change - 1).abs() < 0.2).all())
    meaning = (
        " So it is not the noise of random rows that hurts, but that what trained rows say is missing."
        if indifferent and _spiking(tables)
        else ""
    )
    restored = "; ".join(
        f"{name.removeprefix('untrained rows ')}, {_range(rows['near'])} times just beyond, {_range(rows['far'])} far "
        "beyond"
        for name in _RESTORING
        if len(rows := _own(spikes, "learned", name))
    )
    return (
        f"The learned table changed without retraining. Untrained rows, still as they were drawn, have {_range(size)} "
        f"of "
        f"the size of trained ones, and setting them to zero multiplies the ratio just beyond by {_range(change)}."
        f"{meaning} Prompts of N examples that begin at untrained rows, and so are no longer than in training, have "
        f"{_range(late['at_N'])} times the error at N: positions alone. Giving later tokens rows that were trained "
        f"leaves length, and a wrong place: {restored}."
    )


def _second_cause(tables: Tables) -> str:
    parts: list[str] = []
    grows = False
    for variant in ("none", "shifted", "rotary", "alibi"):
        rows = _own(tables["spikes"], variant)
        up, down = rows["far_low"] > 1.1, rows["far_high"] < 1
        grows = grows or bool(up.any())
        word = "rises" if up.all() else "rises in part" if up.any() else "falls" if down.all() else "does not rise"
        parts.append(f"with {_NAMES[variant]} it {word} ({_range(rows['far'])})")
    conclusion = (
        "So reading more tokens than in training costs something by itself."
        if grows
        else "So reading more tokens than in training costs nothing by itself."
    )
    return (
        "Is length a cause of its own? Where no position is untrained, the error far beyond N over that at N: "
        f"{'; '.join(parts)}. {conclusion}"
    )


def _ends(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, float]:
    """The rows of the smallest and of the largest c, and the latter."""
    c = float(table["c"].max())
    return table[table["c"] == table["c"].min()], table[table["c"] == c], c


def _shrinking(tables: Tables) -> str:
    """The answer to the puzzle in one sentence."""
    low, top, c = _ends(tables["variance"])
    falls = int((top["log_ratio_fall_low"] > 0).sum())
    if falls < len(top) or not _spiking(tables):
        return (
            f"why the spike shrinks at higher variance cannot be told at this size: just beyond N the error ratio of "
            f"learned positions is smaller at c = {c:g} than at c = 1 beyond its interval in {falls} of {len(top)} "
            f"models."
        )
    only = " only" if (top["jump_high"].to_numpy() >= low["jump_low"].to_numpy()).all() else ""
    return (
        f"the spike shrinks at higher variance as a ratio{only}: on c·Exp(1) the error just beyond N is "
        f"{_range(low['ratio'])} times that at N at c = 1 and {_range(top['ratio'])} times at c = {c:g}, while the "
        f"jump itself goes from {_range(low['jump'])} to {_range(top['jump'])}, as c to the power "
        f"{_range(top['exponent'])} (95 % intervals between {top['exponent_low'].min():.2g} and "
        f"{top['exponent_high'].max():.2g}), and the error at N that it is added to from {_range(low['base'])} to "
        f"{_range(top['base'])}."
    )


def _puzzle(tables: Tables) -> list[str]:
    answer = _shrinking(tables)
    opening = f"The paper is unsure why the spike shrinks at higher variance. {answer[0].upper()}{answer[1:]}"
    low, top, c = _ends(tables["variance"])
    if "cannot be told" in answer:
        return [opening]
    relative = tables["tables"][tables["tables"]["variant"] == "learned"]
    weight_low, weight_top, _ = _ends(relative)
    changed = tables["interventions"]
    changed = changed[changed["c"] == c]
    plain = changed[changed["treatment"] == "as trained"]
    grown = changed[(changed["tested_at"] == c) & (changed["treatment"] != "as trained")]
    shrunk = changed[changed["tested_at"] != c]
    restores, removes = int((grown["against_c_low"] > 1).sum()), int((shrunk["against_c1_high"] < 1).sum())
    if restores == len(grown) and removes == len(shrunk):
        conclusion = "Both happen in every model: the relative size of positions is part of the answer."
    elif not restores and not removes:
        conclusion = "Neither happens in any model: the relative size of positions is not the answer."
    else:
        conclusion = "They do not happen in every model: the relative size of positions is at most part of the answer."
    return [
        opening,
        f"Two things make the ratio fall. The error at N grows faster than c (over c from "
        f"{_range(low['base_over_c'])} to "
        f"{_range(top['base_over_c'])}), which accounts for {_range(100 * top['share_of_base'])} % of the fall of the "
        f"ratio's logarithm; and the jump grows more slowly than c: over c it is "
        f"{_range(top['jump_over_c_against_c1'])} "
        f"at c = {c:g} of what it is at c = 1 (95 % intervals between {top['jump_over_c_against_c1_low'].min():.2g} "
        f"and "
        f"{top['jump_over_c_against_c1_high'].max():.2g}; a constant jump would give {1 / c:.2g}).",
        f"A hypothesis for the second: positions are added to tokens that grow with √c, and layer normalisation "
        f"divides "
        f"by their size, so that a fault in the positions weighs less (rows have "
        f"{_range(weight_low['trained_over_tokens'])} "
        f"of the size of input tokens at c = 1, {_range(weight_top['trained_over_tokens'])} at c = {c:g}); to first "
        f"order "
        f"that makes the jump constant. If so, multiplying the table by √c at c = {c:g} brings the jump over c back "
        f"to that "
        f"at c = 1, and dividing it at c = 1 takes it away. Measured over the jump at c = 1: as trained "
        f"{_range(plain['against_c1'])}, with the larger table {_range(grown['against_c1'])} (larger beyond the "
        f"interval "
        f"in {restores} of {len(grown)} models); at c = 1 with the smaller one {_range(shrunk['against_c1'])} (smaller "
        f"beyond the interval in {removes} of {len(shrunk)}). {conclusion} Both changes also move the error at N, "
        f"over c: "
        f"{_range(plain['base_over_c'])} at c = {c:g} becomes {_range(grown['base_over_c'])}; with the smaller table "
        f"it is "
        f"{_range(shrunk['base_over_c'])} at c = 1.",
    ]
