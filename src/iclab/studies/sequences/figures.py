"""Sequences: divergences along training, and from each strategy by the size of the pool."""

from __future__ import annotations

from matplotlib.figure import Figure

from iclab.studies.drawing import CYCLE, legend_below, panels
from iclab.studies.sequences.lines import BIGRAM, NEW, POOL, POOL_BIGRAM, POOL_UNIGRAM, UNIFORM, UNIGRAM
from iclab.studies.sequences.models import TRUTH
from iclab.studies.study import Record

_COLORS: dict[str, str] = dict(zip((UNIFORM, UNIGRAM, BIGRAM), (CYCLE[4], CYCLE[1], CYCLE[0]), strict=True))
_LOOKS = {
    UNIGRAM: (CYCLE[1], "o"),
    BIGRAM: (CYCLE[0], "s"),
    POOL_UNIGRAM: (CYCLE[3], "D"),
    POOL_BIGRAM: (CYCLE[2], "^"),
}


def phases(record: Record) -> Figure:
    """Divergence of each strategy from the model, by step; a line per seed."""
    table = record.tables["phases"]
    # Step 0 stands at the left edge of a logarithmic axis.
    table = table.assign(shown=table["step"].clip(lower=0.5))
    models = list(dict.fromkeys(table["model"]))
    with panels((8.0, 3.6), len(models), sharey=True) as (figure, axes):
        for ax, model in zip(axes, models, strict=True):
            for (reference, seed), rows in table[table["model"] == model].groupby(["reference", "training_seed"]):
                if reference == TRUTH:
                    continue
                first = seed == table["training_seed"].min()
                label = f"from {reference}" if first else None
                ax.plot(rows["shown"], rows["mean"], color=_COLORS[str(reference)], label=label, linewidth=1.1)
            ax.set(xscale="log", yscale="log", xlabel="step", title=model)
        figure.axes[0].set_ylabel("mean divergence, nats")
        figure.axes[0].legend()
    return figure


def pools(record: Record) -> Figure:
    """Divergence of each strategy from finished models, by the size of the pool; a mark per seed."""
    table = record.tables["mixtures"]
    families = list(dict.fromkeys(table["family"]))
    with panels((8.0, 3.0 * len(families) + 0.4), len(families), 2, sharey="row") as (figure, axes):
        for row, family in zip(axes, families, strict=True):
            for ax, tasks in zip(row, (POOL, NEW), strict=True):
                own = table[(table["family"] == family) & (table["tasks"] == tasks) & (table["reference"] != TRUTH)]
                for reference, rows in own.groupby("reference", sort=False):
                    means = rows.groupby("n_chains")["mean"].mean()
                    color, marker = _LOOKS[str(reference)]
                    ax.plot(means.index, means, color=color, label=f"from {reference}")
                    marks = {"color": color, "marker": marker, "linestyle": "none", "markersize": 3}
                    ax.plot(rows["n_chains"], rows["mean"], **marks)
                ax.set(yscale="log", title=f"{family}, {tasks}")
                ax.set_xscale("log", base=2)
            row[0].set_ylabel("mean divergence, nats")
        for ax in axes[-1]:
            ax.set_xlabel("size of the pool")
        legend_below(figure, 4)
    return figure


FIGURES = {"phases": phases, "pools": pools}
