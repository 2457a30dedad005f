"""Classification: accuracies of one matrix, cross-entropies of regression, and tests of bursts."""

from __future__ import annotations

from matplotlib.figure import Figure

from iclab.studies.classification.bursts import TESTS
from iclab.studies.classification.logistic import BAYES, MODE, MODEL, SPREAD, TRUE
from iclab.studies.drawing import (
    ACCENT,
    CYCLE,
    LEAST_SQUARES,
    LIMIT,
    SECOND,
    ZERO,
    label_short_log,
    legend_below,
    panels,
)
from iclab.studies.rows import where
from iclab.studies.study import Record


def clusters(record: Record) -> Figure:
    """Accuracy on clean labels beside Bayes, and on the context's own labels, by d."""
    table = record.tables["clusters"]
    with panels((8.0, 3.4), 2) as (figure, (left, right)):
        for i, (exponent, own) in enumerate(table.groupby("exponent")):
            means, color = own.groupby("dimension")[["clean", "memory", "bayes"]].mean(), CYCLE[i]
            left.plot(means.index, means["clean"], color=color, marker="o", label=f"$|\\mu| = d^{{{exponent:g}}}$")
            left.plot(means.index, means["bayes"], color=color, linestyle="--")
            right.plot(means.index, means["memory"], color=color, marker="o")
        right.axhline(0.8, color=ZERO, linewidth=0.8)
        left.set(xlabel="d", ylabel="accuracy", title="clean labels of queries", xscale="log")
        right.set(xlabel="d", title="noisy labels of the context", xscale="log")
        for ax in (left, right):
            label_short_log(ax.xaxis)
        left.legend()
    return figure


def regression(record: Record) -> Figure:
    """Cross-entropy above the true law's, by position."""
    table = record.tables["logistic"].pivot(index="position", columns="predictor", values="mean")
    excess = table.sub(table[TRUE], axis=0)
    looks = {BAYES: (LEAST_SQUARES, "-"), MODE: (SECOND, "--"), SPREAD: (LIMIT, "-.")}
    with panels((5.6, 3.4)) as (figure, ax):
        trained = [name for name in excess if str(name).startswith(MODEL)]
        for i, name in enumerate(trained):
            ax.plot(excess.index, excess[name], color=ACCENT, linewidth=1.0, label=MODEL if i == 0 else None)
        for name, (color, style) in looks.items():
            ax.plot(excess.index, excess[name], color=color, linestyle=style, label=name)
        ax.set(xlabel="examples", ylabel="cross-entropy above the true law's, nats", yscale="log")
        ax.legend()
    return figure


def bursts(record: Record) -> Figure:
    """Accuracy on every test by burst, a panel for each number of classes; a mark per seed."""
    table = where(record.tables["bursts"], predictor=MODEL)
    counts = sorted(table["n_classes"].unique())
    with panels((8.0, 3.6), len(counts), sharey=True) as (figure, axes):
        for ax, count in zip(axes, counts, strict=True):
            own = where(table, n_classes=count)
            for i, (test, *_) in enumerate(TESTS):
                rows = where(own, test=test)
                means = rows.groupby("burst")["mean"].mean()
                ax.plot(means.index, means, color=CYCLE[i], label=test)
                ax.plot(rows["burst"], rows["mean"], color=CYCLE[i], marker="o", linestyle="none", markersize=3)
            ax.axhline(1 / record.settings["bursts"]["n_labels"], color=ZERO, linewidth=0.8)
            ax.set(xlabel="burst", title=f"{count} classes", xticks=sorted(table["burst"].unique()))
        axes[0].set_ylabel("accuracy at the query")
        legend_below(figure, 5)
    return figure


FIGURES = {"clusters": clusters, "regression": regression, "bursts": bursts}
