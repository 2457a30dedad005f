"""The page of a model's inside, drawn from tables alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.colors import PowerNorm, TwoSlopeNorm
from matplotlib.figure import Figure

from iclab import __version__
from iclab.foundations import atomic_path, normal_quantile, write_text
from iclab.report.blocks import Blocks, templates
from iclab.report.pages import written
from iclab.studies.drawing import CYCLE, label_short_log, panels
from iclab.studies.study import Record

_MOST_HEADS = 16  # bars that a page can show
_KINDS = ("self", "own_example", "same_role", "other")
_LEAST_SHOWN = 1e-6  # of the largest error
_SPOKEN = {"gradient_descent_plus_plus": "GD++", "newton": "Newton", "lsa": "LSA", "bayes": "Bayes"}


def write_inspection(
    name: str,
    facts: Mapping[str, Any],
    tables: Mapping[str, pd.DataFrame],
    patterns: Mapping[int, np.ndarray],
    directory: Path,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> Path:
    """Draw what was found in a model, and write its page; the tables lie beside it as CSV.

    Parameters
    ----------
    name : str
        Of the page and its files.
    facts, tables, patterns
        As ``iclab.inspect.overview`` gives them.
    directory : Path
        Where to.
    progress : callable
        Called with (what is done, done, in all).

    Returns
    -------
    Path
        The page, which needs no other file to be read.
    """
    record = Record(name, name, facts, tables, {})
    blocks = Blocks(directory)
    draw: dict[str, Callable[[], Figure]] = {
        "errors": lambda: _errors(tables["errors"]),
        "attention": lambda: _attention(patterns),
        "shares": lambda: _shares(tables["shares"]),
        "readouts": lambda: _readouts(tables["readouts"], facts["read"]),
        "probes": lambda: _probes(tables["probes"]),
        "importance": lambda: _importance(tables["importance"], facts["positions"][len(facts["positions"]) // 2]),
    }

    def figure(key: str, title: str, *, alt: str, caller: Callable[[], str] | None = None) -> str:
        return blocks.drawn(record, draw[key], f"{name}-{key}", title, alt=alt, caption=caller() if caller else "")

    functions = {
        "facts": facts,
        "has": lambda key: key in tables,
        "table": lambda key, **how: blocks.table(tables[key], **how),
        "figure": figure,
        "fold": blocks.fold,
        "best": lambda **how: blocks.table(_told(_best(tables["readouts"]), facts["read"]), **how),
        "nearest": lambda **how: blocks.table(
            _told(_best(tables["readouts"]).drop_duplicates("block"), facts["read"]), **how
        ),
    }
    template = (files("iclab.report") / "templates" / "inspection.md.j2").read_text(encoding="utf-8")
    body = written(template, "the page of the model", blocks, functions)
    for key, table in tables.items():
        with atomic_path(directory / name / f"{key}.csv") as temporary:
            table.to_csv(temporary, index=False)
    page = directory / f"{name}.html"
    listed = [f"{name}/{key}.csv" for key in tables]
    nothing = {"first": None, "studies": [], "study": None}
    whole = templates().get_template("inspection.html.j2")
    write_text(page, whole.render(nothing, title=name, body=Markup(body), version=__version__, tables=listed))
    progress("page", 1, 1)
    return page


def _errors(table: pd.DataFrame) -> Figure:
    """Curves with bands; what is below a millionth of the largest error lies beneath the frame.

    Predictors whose curves cannot be told apart, as least squares and Bayes without noise, share one.
    """
    with panels((8.6, 3.6)) as (figure, axis):
        reach = normal_quantile() * table["stderr"]
        bands = table.assign(low=table["mean"] - reach, high=table["mean"] + reach)
        top = float(table["mean"].max())
        alike: list[tuple[list[str], pd.DataFrame]] = []
        for name, rows in bands.groupby("predictor", sort=False):
            same = (
                names
                for names, other in alike
                if np.allclose(other["mean"], rows["mean"], rtol=1e-6, atol=_LEAST_SHOWN * top)
            )
            if (names := next(same, None)) is None:
                alike.append(([_spoken(name)], rows))
            else:
                names.append(_spoken(name))
        for (names, rows), color in zip(alike, cycle(CYCLE)):
            width = 2.4 if "model" in names else 1.2
            axis.plot(rows["position"], rows["mean"], color=color, lw=width, label=", ".join(names))
            axis.fill_between(rows["position"], rows["low"], rows["high"], color=color, alpha=0.2, lw=0)
        axis.set_yscale("log", nonpositive="clip")
        axis.set(xlabel="examples", ylabel="error", ylim=(_LEAST_SHOWN * top, 2 * top))
        figure.legend(*axis.get_legend_handles_labels(), loc="outside right center")
    return figure


def _attention(patterns: Mapping[int, np.ndarray]) -> Figure:
    """A row for each block, a column for each head; each to its own scale."""
    columns = max(len(heads) for heads in patterns.values())
    signed = min(float(heads.min()) for heads in patterns.values()) < 0
    width = min(1.5 * columns + 0.6, 10.2)
    size = width, (width - 0.6) / columns * len(patterns) + 0.5
    with panels(size, len(patterns), columns) as (figure, axes):
        for place, (row, (block, heads)) in enumerate(zip(axes, patterns.items(), strict=True)):
            for axis in row[len(heads) :]:
                axis.set_axis_off()
            for number, (axis, pattern) in enumerate(zip(row, heads, strict=False)):
                sizes = np.abs(pattern[pattern != 0])
                top = float(np.quantile(sizes, 0.99)) if len(sizes) else 1.0  # a few first tokens outshine the rest
                norm = TwoSlopeNorm(0.0, -top, top) if signed else PowerNorm(0.5, 0.0, top, clip=True)
                axis.imshow(pattern, cmap="RdBu_r" if signed else "Blues", norm=norm, interpolation="none")
                axis.set(xticks=[], yticks=[])
                axis.grid(False)
                if place == 0:
                    axis.set_title(f"head {number}", fontsize=8)
                if number == 0:
                    axis.set_ylabel(f"block {block}", fontsize=8)
        figure.supxlabel("token that is seen", fontsize=9)
        figure.supylabel("token that attends", fontsize=9)
    return figure


def _shares(table: pd.DataFrame) -> Figure:
    """Stacked shares of every head, a panel for each role of the token that attends; first the one that is read out."""
    present = set(table["role"])
    roles = [role for role in ("query", "input", "label", "example") if role in present]
    kinds = [to for to in _KINDS if (table.loc[table["to"] == to, "share"] > 0).any()]
    heads = table[["block", "head"]].drop_duplicates()
    size = max(8.6, min(0.3 * len(heads) + 2.0, 12.0)), 2.4 * len(roles) + 0.8
    with panels(size, len(roles), 1, sharex=True) as (figure, axes):
        for axis, role in zip(np.ravel(axes), roles, strict=True):
            rows = table[table["role"] == role]
            wide = rows.pivot_table(index=["block", "head"], columns="to", values="share", sort=True)
            below = np.zeros(len(wide))
            for to, color in zip(kinds, CYCLE, strict=False):
                if to in wide:
                    axis.bar(np.arange(len(wide)), wide[to], bottom=below, color=color, label=_spoken(to), width=0.8)
                    below += wide[to].to_numpy()
            axis.set_xticks(np.arange(len(wide)), [f"{block}.{head}" for block, head in wide.index], rotation=90)
            axis.set(ylabel=f"of {role} tokens", ylim=(0, 1))
            axis.grid(False)
        np.ravel(axes)[-1].set_xlabel("block.head")
        drawn = [each.get_legend_handles_labels() for each in np.ravel(axes)]
        shown = {label: bar for bars, labels in drawn for bar, label in zip(bars, labels, strict=True)}
        figure.legend(shown.values(), shown.keys(), loc="outside lower center", ncols=4)
    return figure


def _best(table: pd.DataFrame) -> pd.DataFrame:
    """One row per block and family, at the setting that is nearest."""
    best = table[table["nearest"]].drop_duplicates(["block", "algorithm"])
    best = best[["block", "algorithm", "setting", "distance", "stderr", "cosine"]]
    return best.sort_values(["block", "distance"], kind="stable")


def _told(best: pd.DataFrame, read: Sequence[str]) -> pd.DataFrame:
    """The same in words: what has passed instead of its number, and algorithms by their names."""
    after = [_short(str(read[int(block)])) for block in best["block"]]
    return best.assign(block=after, algorithm=best["algorithm"].map(_spoken)).rename(columns={"block": "after"})


def _readouts(table: pd.DataFrame, read: Sequence[str]) -> Figure:
    best = _best(table)
    with panels((8.6, 3.6), 2) as (figure, (near, steps)):
        for (family, rows), color in zip(best.groupby("algorithm", sort=False), CYCLE, strict=False):
            label, rows = _spoken(family), rows.sort_values("block")
            reach = normal_quantile() * rows["stderr"]
            near.errorbar(rows["block"], rows["distance"], reach, color=color, label=label, marker=".", capsize=2)
            if family in ("gradient_descent", "gradient_descent_plus_plus", "newton"):
                steps.plot(rows["block"], rows["setting"], color=color, marker=".")
        near.set(yscale="log", xlabel="after", ylabel="distance / mean squared target")
        steps.set(yscale="log", xlabel="after", ylabel="nearest number of steps")
        for axis in (near, steps):
            low, high = axis.get_ylim()
            if high < 20 * low:
                label_short_log(axis.yaxis)
            axis.set_xticks(range(len(read)), [_short(name) for name in read], rotation=45, ha="right")
        figure.legend(*near.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _probes(table: pd.DataFrame) -> Figure:
    """R² by block, a panel per position: trained, untrained, and the control of the trained."""
    positions = sorted(table["position"].unique())
    names = list(dict.fromkeys(table["activation"]))
    styles = {("trained", False): "-", ("untrained", False): "--", ("trained", True): ":"}
    with panels((max(8.6, 2.9 * len(positions) + 0.8), 3.7), len(positions), sharey=True) as (figure, axes):
        for axis, position in zip(axes, positions, strict=True):
            for target, color in zip(dict.fromkeys(table["target"]), CYCLE, strict=False):
                for (kind, control), style in styles.items():
                    mine = (table["model"] == kind) & (table["control"] == control) & (table["target"] == target)
                    rows = table[mine & (table["position"] == position)]
                    label = f"{_spoken(target)}, {'control' if control else kind}"
                    reach = normal_quantile() * rows["stderr"]
                    at = [names.index(name) for name in rows["activation"]]
                    axis.errorbar(at, rows["r2"], reach, color=color, ls=style, marker=".", label=label, capsize=2)
            axis.set_title(f"i = {position}")
            axis.set_xticks(range(len(names)), map(_short, names), rotation=45, ha="right")
            axis.set_ylim(min(-0.05, float(np.nanmax([-0.5, table["r2"].min()]))), 1.05)
        for axis in axes:
            axis.set_xlabel("after")
        axes[0].set_ylabel("R² on prompts left out")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _short(name: str) -> str:
    """An activation on an axis: the block that it comes after, or its own name."""
    return f"block {name.split('.')[1]}" if name.startswith("blocks.") else name.removesuffix(".out")


def _spoken(name: Any) -> str:
    """What a predictor, target or share is called on the page."""
    return _SPOKEN.get(str(name), str(name).replace("_", " "))


def _importance(table: pd.DataFrame, position: int) -> Figure:
    """The largest effects at one position."""
    rows = table[table["position"] == position].sort_values("difference", ascending=False).head(_MOST_HEADS)[::-1]
    heads = ["" if np.isnan(number) else f"{number:g}" for number in rows["head"].astype("float64")]
    where = ["" if block < 0 else f"block {block} " for block in rows["block"]]
    labels = [f"{at}{part} {head}".strip() for at, part, head in zip(where, rows["part"], heads, strict=True)]
    with panels((8.6, 0.22 * len(rows) + 1.1)) as (figure, axis):
        reach = normal_quantile() * rows["stderr"]
        axis.errorbar(rows["difference"], np.arange(len(rows)), xerr=reach, fmt="o", ms=4, color=CYCLE[0], capsize=2)
        axis.axvline(0, color="#8c8c8c", lw=0.8)
        # Linear up to a power of ten, so that no two ticks meet; linear altogether where that is most of it.
        linear = 10.0 ** np.ceil(np.log10(max(float(rows["stderr"].median()), 1e-12)))
        if float(rows["difference"].abs().max()) > 10 * linear:
            axis.set_xscale("symlog", linthresh=linear)
        axis.set_yticks(np.arange(len(rows)), labels)
        axis.set_xlabel(f"error without it, less error with it, at {position} examples")
    return figure
