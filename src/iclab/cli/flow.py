"""``iclab flow``: the trajectory of a linear self-attention layer from one start."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iclab.cli.arguments import Whole

if TYPE_CHECKING:
    import pandas as pd

    from iclab.flow import Trajectory

# Files that --output holds.
_TABLE, _FIGURE = "trajectory.parquet", "flow.png"


def flow(
    *,
    n_train: Whole,
    covariance: str | None = None,
    data: Path | None = None,
    columns: str | None = None,
    scale: float | None = None,
    theta: str = "identity",
    start: str = "assumption3",
    t_end: float = math.inf,
    points: Whole = 200,
    output: Path | None = None,
    json: bool = False,
) -> int:
    """Follow the gradient flow of a linear self-attention layer, and say where it ends, how fast and why.

    Prints the limit, the certificate of Theorem 4 or 8 (from Assumption 3), and the times to 50, 90 and 99 % of the
    gain.

    Parameters
    ----------
    n_train
        Number N of examples in a training prompt.
    covariance
        A CSV or NPY file with the matrix (or its spectrum), or an expression: power:d=5,alpha=1;
        two-level:d=5,top=1,low=0.1; exponential-decay:d=5,rate=0.5; identity:d=5; random-exponential:d=5 (a new
        diag of Exponential(1) variables per prompt, Theorem 8). Each takes scale=….
    data
        A CSV file with a header, or a Parquet file: the covariance of its columns, whose cells must all be numbers.
    columns
        Columns of --data to use, separated by commas; the others may hold anything.
    scale
        σ of Assumption 3; a tenth of the threshold of the theorem when omitted.
    theta
        The matrix ΘΘ' of Assumption 3: identity, random:seed=0, or a CSV or NPY file. Its Frobenius norm is set to 1.
    start
        assumption3; perturbed:size=0.1,seed=0 (all parameters moved by normal noise of size·σ);
        normal:size=1,seed=0 (all parameters normal); or an NPZ file with w_pv and w_kq, or u, U and perhaps a, b.
    t_end
        Last time; inf runs to the limit.
    points
        Number of times in the saved trajectory.
    output
        Folder for trajectory.parquet and flow.png.
    json
        Print one JSON object instead of text.
    """
    from iclab.cli.flow_inputs import read_covariates, read_start, read_theta
    from iclab.flow import gradient_flow
    from iclab.foundations import check_integer, check_real, require_writable
    from iclab.theory import certificate

    check_integer(n_train, "--n-train", minimum=1)
    check_integer(points, "--points", minimum=2)
    covariates = read_covariates(covariance, data, columns)
    matrix = read_theta(theta, covariates.dimension)
    threshold = certificate(covariates, n_train, matrix, 1.0).threshold
    sigma = threshold / 10 if scale is None else check_real(scale, "scale", above=0.0)
    initial = read_start(start, matrix, sigma)
    folder = None if output is None else require_writable(output)
    trajectory = gradient_flow(initial, covariates, n_train, t_end)
    proof = certificate(covariates, n_train, matrix, sigma) if start == "assumption3" else None
    summary = _summary(trajectory, sigma, proof)
    table = None
    if folder is not None:
        table = _save(trajectory, points, folder)
        summary["files"] = [str(folder / name) for name in (_TABLE, _FIGURE)]
    sys.stdout.write(_as_json(summary) if json else _as_text(summary))
    sys.stdout.flush()
    if folder is not None and table is not None:  # last: nothing that drawing needs can cost the numbers
        _draw(table, trajectory, folder / _FIGURE)
    return 0


def _summary(trajectory: Trajectory, sigma: float, proof: Any) -> dict[str, Any]:
    from dataclasses import asdict

    import numpy as np

    limit = trajectory.limit
    summary: dict[str, Any] = {
        "dimension": trajectory.initial.dimension,
        "n_train": trajectory.n_train,
        "method": trajectory.method,
        "status": trajectory.status,
        "initial_loss": float(trajectory.loss(0.0)),
        "minimum_loss": trajectory.minimum_loss,
        "time_to": {f"{p} %": trajectory.time_to(p / 100) for p in (50, 90, 99)},
        "balance_drift": trajectory.balance_drift(),
        "amplification": trajectory.amplification,
    }
    if limit is not None:
        a, u, U, b = limit.blocks
        values = np.linalg.eigvals(u * U)
        summary["limit"] = {
            "u": u,
            "U": U.tolist(),
            "a": a.tolist(),
            "b": b.tolist(),
            "excess_loss": float(trajectory.excess(trajectory.t_end)),
            "eigenvalues_of_uU": np.sort(values.real)[::-1].tolist(),
        }
    if proof is not None:
        summary["scale"] = sigma
        summary["certificate"] = asdict(proof)
    return summary


def _as_json(summary: dict[str, Any]) -> str:
    import json

    def finite(value: Any) -> Any:
        # JSON has no infinity: a time that is never reached is null.
        if isinstance(value, dict):
            return {key: finite(entry) for key, entry in value.items()}
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return json.dumps(finite(summary), indent=2, allow_nan=False) + "\n"


def _as_text(summary: dict[str, Any]) -> str:
    lines = [f"The flow {summary['status']}", f"method           {summary['method']}"]
    lines.append(
        f"loss             {summary['initial_loss']:.10g} at the start, {summary['minimum_loss']:.10g} at best"
    )
    if "limit" in summary:
        limit = summary["limit"]
        values = " ".join(f"{value:.6g}" for value in limit["eigenvalues_of_uU"][:8])
        dots = " …" if len(limit["eigenvalues_of_uU"]) > 8 else ""
        lines.append(f"limit            u = {limit['u']:.10g}, eigenvalues of u·U: {values}{dots}")
        lines.append(f"excess loss      {limit['excess_loss']:.6g} in the limit")
        sizes = [math.hypot(*limit[block]) for block in ("a", "b")]
        if any(sizes):
            lines.append(
                f"                 ‖a‖ = {sizes[0]:.6g}, ‖b‖ = {sizes[1]:.6g}, beside u·U the rank-one part ab'"
            )
    times = ", ".join(
        f"{part} at t = {t:.6g}" if math.isfinite(t) else f"{part} never" for part, t in summary["time_to"].items()
    )
    lines.append(f"part of the gain {times}")
    lines.append(f"conserved        u² + ‖a‖² − ‖U‖² − ‖b‖² drifts by {summary['balance_drift']:.1e}")
    if summary["amplification"] > 1e3:
        lines.append(f"rounding         amplified {summary['amplification']:.1e} times by a passage near the saddle")
    if "certificate" in summary:
        proof = summary["certificate"]
        word = "below" if proof["guaranteed"] else "not below"
        lines += [
            f"σ                {summary['scale']:.6g}, {word} the threshold {proof['threshold']:.10g}"
            f" (L(0) < loss of zero up to {proof['exact_threshold']:.6g})",
            f"bound on u       u(t) ≥ {proof['u_lower_bound']:.6g} (sharper: {proof['sharp_u_lower_bound']:.6g})",
            f"rate             at least {proof['pl_constant']:.6g} (sharper: {proof['sharp_pl_constant']:.6g}), "
            f"asymptotically {proof['asymptotic_rate']:.6g}",
        ]
    lines += [f"wrote            {name}" for name in summary.get("files", [])]
    return "\n".join(lines) + "\n"


def _save(trajectory: Trajectory, points: int, folder: Path) -> pd.DataFrame:
    from iclab.flow.tables import trajectory_table
    from iclab.foundations.tables import write_table

    table = trajectory_table(trajectory, points)
    write_table(table, folder / _TABLE)
    return table


def _draw(table: pd.DataFrame, trajectory: Trajectory, path: Path) -> None:
    from matplotlib.figure import Figure

    from iclab.foundations import atomic_path
    from iclab.studies.drawing import ACCENT, SECOND, figure_style, lay_out

    with figure_style():
        figure = Figure(figsize=(8.0, 3.2))
        left, right = figure.subplots(1, 2)
        scalars = table[table["row"] < 0]
        u = scalars[scalars["quantity"] == "u"]
        left.plot(u["t"], u["value"], color="black", label="u")
        entries = table[table["quantity"] == "U"]
        for diagonal, colour, label in ((False, "#8fc5ea", "U, off the diagonal"), (True, ACCENT, "U, diagonal")):
            chosen = entries[(entries["row"] == entries["col"]) == diagonal]
            curves = chosen.pivot_table(index="t", columns=["row", "col"], values="value")
            for number, column in enumerate(curves.columns):
                left.plot(curves.index, curves[column], color=colour, lw=1.0, label="" if number else label)
        left.set_xscale("symlog", linthresh=float(trajectory.horizon) / 1e3)
        left.set_xlabel("t")
        left.legend()
        excess = scalars[(scalars["quantity"] == "excess") & (scalars["value"] > 0)]
        right.semilogy(excess["t"], excess["value"], color=SECOND)
        right.set_xlabel("t")
        right.set_ylabel("L − min L")
        figure.suptitle(
            f"d = {trajectory.initial.dimension}, N = {trajectory.n_train}: {trajectory.method}", fontsize=9
        )
        lay_out(figure)
        with atomic_path(path) as temporary:
            figure.savefig(temporary, format="png", metadata={"Software": None})
