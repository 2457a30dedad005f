"""``iclab evaluate``: any predictor beside the classical ones, at every context length, under every shift."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iclab.cli.arguments import Whole

if TYPE_CHECKING:
    import pandas as pd

    from iclab.predictors import Predictor


def evaluate(
    target: str,
    *,
    suite: str = "garg",
    against: str | None = None,
    dimension: Whole | None = None,
    n_train: Whole | None = None,
    points: Whole | None = None,
    prompts: Whole = 1280,
    seed: Whole = 0,
    jobs: Whole = 1,
    nearest: bool = False,
    beyond: float = 0.1,
    output: Path | None = None,
    figure: Path | None = None,
    json: bool = False,
) -> int:
    """Compare a predictor with the classical ones at every context length, under every shift of a suite.

    Prints the error at d/2, d, 2d and the last position, divided by the normaliser (d for linear functions), with
    standard errors; ± is one standard error.

    Parameters
    ----------
    target
        A run or a saved model (a folder), a model that ships with the package (by name), a predictor's name
        (least_squares, ridge, lsa, …), or module:object of your own Python: anything that maps prompts to predictions.
    suite
        garg (fifteen evaluations), paper (§4.2 and Figure 1), all, or names of shifts separated by commas.
    against
        Predictors to compare with, separated by commas; "none" for none. The fast ones when omitted.
    dimension
        d of the prompts: the model's when omitted, else 20.
    n_train
        N of trained layers such as lsa: 2d when omitted.
    points
        Positions, for 0 … points − 1 examples: 2d + 1 when omitted, or as many as the model has.
    prompts
        Prompts per shift.
    seed
        Seed of the prompts.
    jobs
        Processes; results do not depend on it.
    nearest
        Also say which of the compared predictors the target behaves like.
    beyond
        Distance (in mean squared targets) above which no predictor is called nearest.
    output
        Parquet or CSV file for the whole table.
    figure
        PNG, SVG or PDF file for the curves, with bands of two standard errors.
    json
        Print one JSON object instead of text.
    """
    from iclab.evaluation import nearest_algorithm
    from iclab.foundations import (
        InvalidInputError,
        atomic_path,
        check_integer,
        check_real,
        require_writable_file,
    )
    from iclab.predictors import FAST, predictor
    from iclab.prompts import shift

    check_integer(prompts, "prompts", minimum=2)
    check_integer(jobs, "jobs", minimum=1)
    check_integer(seed, "seed", minimum=0)
    check_real(beyond, "beyond", above=0.0)
    if output is not None:
        require_writable_file(output, "table", (".parquet", ".csv"))
    if figure is not None:
        require_writable_file(figure, "figure", (".png", ".svg", ".pdf"))
    loaded = _resolve(target)
    own = _dimension_of(loaded) or 20
    d = check_integer(own if dimension is None else dimension, "dimension", minimum=1)
    length = check_integer(n_train if n_train is not None else 2 * d, "n_train", minimum=1)
    most = getattr(getattr(loaded, "architecture", None), "max_points", 2 * d + 1)
    n_points = check_integer(points if points is not None else min(2 * d + 1, most), "points", minimum=1)
    names = (
        list(FAST) if against is None else [] if against == "none" else [part.strip() for part in against.split(",")]
    )
    chosen: dict[str, Predictor] = {name: predictor(name, d, length) for name in names}
    name = target if isinstance(loaded, str) else Path(target).name or target
    chosen[name] = predictor(loaded, d, length) if isinstance(loaded, str) else loaded
    if nearest and set(names) <= {name}:
        raise InvalidInputError("--nearest must have predictors to compare with; name some with --against.")
    members = _suite(suite, d)
    seconds = members.estimated_seconds(list(chosen), n_points, prompts)
    if seconds > 20:
        _say(f"predictors fitted at every prefix take about {seconds / 60:.0f} min on one core")
    table = members.run(chosen, n_points, n_prompts=prompts, seed=seed, n_jobs=jobs, progress=_progress)
    result: dict[str, Any] = {"suite": members.name, "target": name, "dimension": d, "prompts": prompts, "seed": seed}
    verdicts = None
    if nearest:
        candidates = {key: value for key, value in chosen.items() if key != name}
        distributions = {
            each: shift(each).apply(members.base)
            for each in members.shifts
            if (shift(each).max_points(d) or n_points) >= n_points
        }
        verdicts = nearest_algorithm(
            chosen[name],
            candidates,
            distributions,
            n_points,
            n_prompts=prompts,
            seed=seed,
            beyond=beyond,
            progress=_progress,
        ).verdicts
    if output is not None:
        with atomic_path(output) as temporary:
            if output.suffix == ".csv":
                table.to_csv(temporary, index=False)
            else:
                table.to_parquet(temporary)
        result["files"] = [str(output)]
    if figure is not None:
        _draw(table, name, figure)
        result["files"] = [*result.get("files", []), str(figure)]
    if json:
        sys.stdout.write(_as_json(result, table, verdicts))
    else:
        sys.stdout.write(_as_text(result, table, verdicts))
    return 0


def _resolve(target: str) -> Any:
    """A predictor's name, or the predictor itself."""
    from iclab.foundations import InvalidInputError, check_choice
    from iclab.predictors import REGISTRY
    from iclab.predictors.registry import shipped_models

    if target in REGISTRY:
        return target
    names = shipped_models()
    if Path(target).exists() or target in names:
        from importlib.util import find_spec

        if find_spec("torch") is None:
            raise InvalidInputError(
                f"{target} needs torch to be loaded, which is not installed; install it with `pip install "
                "'iclab[train]'`."
            )
        from iclab.cli.progress import plain_warnings
        from iclab.models import load

        with plain_warnings():
            return load(target, device="auto")
    if ":" in target:
        return _own(target)
    return check_choice(target, "target (no such folder; as a name it)", (*REGISTRY, *names))


def _own(target: str) -> Any:
    """The object of ``module:object``; a class is instantiated without arguments."""
    import importlib

    from iclab.foundations import InvalidInputError

    module_name, _, attribute = target.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        value: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            value = getattr(value, part)
        value = value() if isinstance(value, type) else value
    except Exception as error:
        raise InvalidInputError(
            f"{target} must name an importable module and an object in it; {_told(error)}."
        ) from error
    finally:
        sys.path.pop(0)
    if not callable(value):
        raise InvalidInputError(f"{target} must map prompts to predictions; {value!r} cannot be called.")
    return _Own(target, value, getattr(value, "architecture", None))


@dataclass(frozen=True)
class _Own:
    """A predictor of one's own, whose errors are told in one sentence that says where."""

    name: str
    call: Any
    architecture: Any

    def __call__(self, prompts: Any) -> Any:
        from iclab.foundations import InvalidInputError

        try:
            return self.call(prompts)
        except (InvalidInputError, MemoryError):
            raise
        except Exception as error:
            raise InvalidInputError(f"{self.name} must map prompts to predictions; {_told(error)}.") from error


def _told(error: Exception) -> str:
    import traceback

    place = traceback.extract_tb(error.__traceback__)[-1]
    at = f" ({place.filename}, line {place.lineno})" if Path(place.filename).is_relative_to(Path.cwd()) else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())}{at}"


def _dimension_of(loaded: Any) -> int | None:
    return getattr(getattr(loaded, "architecture", None), "dimension", None)


def _suite(name: str, dimension: int) -> Any:
    from iclab.evaluation import SUITES, Suite
    from iclab.foundations import InvalidInputError
    from iclab.prompts import SHIFTS, Gaussian, Linear, PromptDistribution, shift

    if name in SUITES:
        return Suite.named(name, dimension)
    members = tuple(part.strip() for part in name.split(","))
    try:
        for member in members:
            shift(member)
    except InvalidInputError as error:
        if len(members) > 1 or "=" in name or "+" in name:
            raise
        from iclab.foundations import check_choice

        check_choice(name, "suite", (*SUITES, *SHIFTS))
        raise error
    return Suite("shifts", PromptDistribution(Gaussian.isotropic(dimension), Linear()), members)


def _progress(label: str, done: int, total: int) -> None:
    if done == total:
        _say(f"{label}: {total} prompts")


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


def _shown(table: pd.DataFrame, dimension: int) -> pd.DataFrame:
    """Rows at d/2, d, 2d and the last position of each shift, errors divided by the normaliser."""
    last = table.groupby("distribution")["position"].transform("max")
    wanted = table["position"].isin([dimension // 2, dimension, 2 * dimension]) | (table["position"] == last)
    rows = table[wanted].copy()
    rows["error"] = rows["mean"] / rows["normaliser"]
    rows["bar"] = rows["stderr"] / rows["normaliser"]
    return rows


def _as_text(result: dict[str, Any], table: pd.DataFrame, verdicts: pd.DataFrame | None) -> str:
    from iclab.foundations import plus_minus

    rows = _shown(table, result["dimension"])
    names = list(dict.fromkeys(table["predictor"]))
    rows["text"] = [plus_minus(error, bar) for error, bar in zip(rows["error"], rows["bar"], strict=True)]
    width = 2 + max(map(len, [*names, *rows["text"]]))
    lines = [
        f"error / {table['normaliser'].iloc[0]:g} ± standard error, {result['prompts']} prompts, seed {result['seed']}",
        f"{'shift':24}{'examples':>9}" + "".join(f"{name:>{width}}" for name in names),
    ]
    for (shift, position), group in rows.groupby(["distribution", "position"], sort=False):
        found = group.set_index("predictor")["text"]
        lines.append(f"{shift:24}{position:>9}" + "".join(f"{found[name]:>{width}}" for name in names))
    if verdicts is not None:
        lines += ["", f"{result['target']} behaves like (distance in mean squared targets; share of bootstraps):"]
        for row in verdicts.to_dict("records"):
            ties = f"; as near: {row['ties']}" if row["ties"] else ""
            lines.append(
                f"{row['distribution']:24}{row['position']:>9}  {row['nearest']} (closest {row['closest']} at "
                f"{plus_minus(row['distance'], row['stderr'])}, {row['frequency']:.0%}{ties})"
            )
    lines += [f"wrote {path}" for path in result.get("files", [])]
    return "\n".join(lines) + "\n"


def _as_json(result: dict[str, Any], table: pd.DataFrame, verdicts: pd.DataFrame | None) -> str:
    import json

    import numpy as np

    def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
        # JSON has no NaN: an unknown number is null.
        return frame.astype(object).where(frame.notna() & ~frame.isin([np.inf]), None).to_dict("records")  # type: ignore[return-value]

    content = {**result, "errors": records(table)}
    if verdicts is not None:
        content["nearest"] = records(verdicts)
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _draw(table: pd.DataFrame, target: str, path: Path) -> None:
    import numpy as np
    from matplotlib.figure import Figure

    from iclab.foundations import atomic_path
    from iclab.report.style import house_style

    shifts = list(dict.fromkeys(table["distribution"]))
    columns = min(3, len(shifts))
    rows = -(-len(shifts) // columns)
    with house_style():
        drawing = Figure(figsize=(3.4 * columns, 2.5 * rows + 0.5), layout="constrained")
        axes = np.atleast_1d(drawing.subplots(rows, columns, sharex=True)).ravel()
        for ax, name in zip(axes, shifts, strict=False):
            own = table[table["distribution"] == name]
            # Twice the zero estimator's error is the most worth seeing.
            zero = float(own["zero"].iloc[0] / own["normaliser"].iloc[0])
            top = 2 * zero if np.isfinite(zero) else 2.0
            for predictor, curve in own.groupby("predictor", sort=False):
                mean, bar = curve["mean"] / curve["normaliser"], 2 * curve["stderr"] / curve["normaliser"]
                [line] = ax.plot(curve["position"], mean, label=str(predictor), lw=2.2 if predictor == target else 1.1)
                low, high = mean - bar, mean + bar
                # A band around a mean beyond the frame would only flood it.
                seen = mean.to_numpy() <= top
                ax.fill_between(curve["position"], low, high, where=seen, color=line.get_color(), alpha=0.2, lw=0)
            ax.set_ylim(0, top)
            ax.set_title(name, fontsize=8)
        for ax in axes[len(shifts) :]:
            ax.set_axis_off()
        axes[0].legend(fontsize=6)
        drawing.supxlabel("examples in context", fontsize=8)
        drawing.supylabel(f"squared error / {table['normaliser'].iloc[0]:g}", fontsize=8)
        with atomic_path(path) as temporary:
            drawing.savefig(temporary, format=path.suffix[1:])
