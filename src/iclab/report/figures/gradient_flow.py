"""Gradient flow: u, the blocks of U and the loss over time, beside their limits, bound and exact rate."""

from __future__ import annotations

import pandas as pd
from iclab.report.style import ACCENT, CYCLE, LIMIT, SECOND, ZERO, Drawing, house_style
from iclab.studies.record import StudyRecord
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_THEOREMS = {"fixed covariance": "Theorem 4", "random covariances": "Theorem 8"}


def draw(record: StudyRecord) -> list[Drawing]:
    """One row per case: u(t), U(t), excess loss."""
    trajectory, limits = record.tables["trajectory"], record.tables["limits"]
    cases = list(trajectory["case"].unique())
    with house_style():
        figure = Figure(figsize=(10.0, 3.1 * len(cases)))
        axes = figure.subplots(len(cases), 3, squeeze=False)
        for row, case in zip(axes, cases, strict=True):
            path = trajectory[trajectory["case"] == case]
            end = limits[limits["case"] == case]
            bound = record.facts["conclusions"][case]["u_lower_bound"]
            _scalar(row[0], path, end, bound)
            _matrix(row[1], path, end)
            _excess(row[2], path)
            row[0].set_title(f"{case.capitalize()}: u(t)")
            row[1].set_title("entries of U(t)")
            row[2].set_title("L(t) − min L")
        for ax in axes[-1]:
            ax.set_xlabel("time t of gradient flow")
    settings = record.facts["settings"]
    caption = (
        f"Gradient flow of the population loss from Assumption 3 (d = {settings['dimension']}, N = "
        f"{settings['n_train']}, σ = {settings['relative_scale']:g} of the paper's threshold, seed {settings['seed']}"
        f"). Top: fixed Λ with eigenvalues ∝ 1/i^{settings['exponent']:g} in a random eigenbasis; bottom: Λ = diag(λ), "
        "λ ~ Exp(1) per prompt. U is shown in the basis where the covariances are diagonal, largest eigenvalue first: "
        "diagonal entries in colour, the others grey. Dashed: limits of Theorem 4 and Theorem 8; dash-dotted: lower "
        "bound of Lemma 19 and Lemma 27. Right: the paper's bound e^(−μt)(L(0) − min L) and a line of the exact "
        "asymptotic rate through the last point. Computed by the one-scalar form of the flow, no sampling."
    )
    return [Drawing("gradient-flow", figure, caption, "Parameters and loss along gradient flow, fixed and random.")]


def _entries(path: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """One quantity over positive times, which a logarithmic axis can show."""
    return path[(path["quantity"] == quantity) & (path["t"] > 0)].sort_values("t")


def _scalar(ax: Axes, path: pd.DataFrame, limits: pd.DataFrame, bound: float) -> None:
    u = _entries(path, "u")
    ax.plot(u["t"], u["value"], color=ACCENT, label="u(t)")
    theorem = float(limits[limits["quantity"] == "u"]["theorem"].iloc[0])
    case = str(path["case"].iloc[0])
    ax.axhline(theorem, color=LIMIT, linestyle=(0, (4, 2)), linewidth=1.2, label=f"limit, {_THEOREMS[case]}")
    ax.axhline(bound, color=ZERO, linestyle="-.", linewidth=1.2, label="lower bound of the paper")
    ax.set_xscale("log")
    ax.set_ylim(bottom=0)
    ax.legend(loc=(0.02, 0.62))


def _matrix(ax: Axes, path: pd.DataFrame, limits: pd.DataFrame) -> None:
    entries = _entries(path, "U")
    for i, j in entries[["row", "col"]].drop_duplicates().to_numpy(dtype=int):
        values = entries[(entries["row"] == i) & (entries["col"] == j)]
        diagonal = i == j
        color = CYCLE[i % len(CYCLE)] if diagonal else "#b5b5b5"
        ax.plot(
            values["t"], values["value"], color=color, linewidth=1.5 if diagonal else 0.7, zorder=3 if diagonal else 2
        )
    on_diagonal = limits[(limits["quantity"] == "U") & (limits["row"] == limits["col"])]
    for i, limit in zip(on_diagonal["row"].to_numpy(dtype=int), on_diagonal["theorem"].to_numpy(), strict=True):
        color = CYCLE[i % len(CYCLE)]
        ax.axhline(limit, color=color, linestyle=(0, (4, 2)), linewidth=0.9, alpha=0.8)
    ax.set_xscale("log")


def _excess(ax: Axes, path: pd.DataFrame) -> None:
    for quantity, color, style, label in (
        ("pl_bound", SECOND, "-.", "bound of the paper, e^(−μt)"),
        ("asymptote", LIMIT, (0, (4, 2)), "exact asymptotic rate"),
        ("excess", ACCENT, "-", "gradient flow"),
    ):
        rows = path[path["quantity"] == quantity].sort_values("t")
        ax.plot(rows["t"], rows["value"], color=color, linestyle=style, label=label)
    excess = path[path["quantity"] == "excess"]["value"]
    ax.set_yscale("log")
    ax.set_ylim(excess.min() / 3, excess.max() * 30)
    ax.legend(loc="lower left")
