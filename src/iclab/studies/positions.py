"""The spike beyond the training length: what causes it, and why it shrinks at higher variance.

Models that know their positions in five ways are trained on N examples and tested on up to 3N: learned positions
(GPT-2), the same trained from randomly shifted starts, none, rotary, ALiBi. Then the learned table is changed without
retraining: its untrained rows become zeros, means or copies of trained rows, or prompts begin at untrained rows. The
paper's conjecture (§4.3) is that untrained absolute positions cause the spike; why it shrinks with the variance of the
inputs it leaves open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from iclab.models import load
from iclab.predictors import LeastSquares, Predictor
from iclab.studies.observations import SPIKE
from iclab.studies.panels import COVARIATES, FAMILIES, OWN, Errors, panel_laws, resampling, squared_errors
from iclab.studies.positions_treatments import TREATMENTS, Treatment, scaled, trained_rows, treated
from iclab.studies.positions_words import RISE, findings, sentences
from iclab.studies.record import StudyRecord
from iclab.studies.store import Store, digest
from iclab.studies.trainings import Job, train_all
from iclab.training import TrainingConfig, preset

NAME = "positions"
VARIANTS = ("learned", "shifted", "none", "rotary", "alibi")
AS_TRAINED = "as trained"
RESAMPLES = 1000

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class PositionsSettings:
    """Sizes of the study.

    Attributes
    ----------
    dimension, n_train : int
        d and N.
    preset : str
        Name of the training preset.
    overrides : dict
        Fields of the preset that this profile changes.
    n_prompts : int
        Test prompts per panel.
    factor : int
        Test contexts go up to this times N.
    scales : tuple of float
        Factors c of the random test covariances, ascending from 1.
    training_seeds : tuple of int
        One training of each variant and family per seed.
    seed : int
        Seed of the test prompts and of the bootstrap.
    workers : int, optional
        Trainings at a time; one per core when omitted.
    """

    dimension: int
    n_train: int
    preset: str
    overrides: Mapping[str, Any]
    n_prompts: int
    factor: int = 3
    scales: tuple[float, ...] = (1.0, 4.0, 9.0)
    training_seeds: tuple[int, ...] = (0, 1)
    seed: int = 0
    workers: int | None = None

    @property
    def n_points(self) -> int:
        """P of the longest test prompt."""
        return self.factor * self.n_train + 1


@dataclass(frozen=True)
class Model:
    """One of the trained models."""

    variant: str
    family: str
    training_seed: int

    @property
    def name(self) -> str:
        """Identifier."""
        return f"{self.variant}-{self.family}cov-seed{self.training_seed}"


def run(*, store: Store, runs: Path, progress: Progress, **sizes: Any) -> StudyRecord:
    """Train the variants, test them beyond N, treat the learned tables, and weigh the explanations.

    Parameters
    ----------
    store : Store
        Keeps the squared errors of each (model, treatment, panel).
    runs : Path
        Keeps the trainings.
    progress : callable
        Called with (what is being done, done, total).
    **sizes
        Fields of ``PositionsSettings``.

    Returns
    -------
    StudyRecord
        Tables ``curves``, ``spikes``, ``variance``, ``tables`` and ``interventions``; errors are divided by d.
    """
    settings = PositionsSettings(**sizes)
    models = [Model(v, f, s) for s in settings.training_seeds for v in VARIANTS for f in FAMILIES]
    jobs = {model: _job(model, settings, runs) for model in models}
    train_all(list(jobs.values()), progress, settings.workers)
    errors = _judge(settings, jobs, store, progress)
    weights = resampling(settings.n_prompts, RESAMPLES, settings.seed)
    spikes = _spikes(errors, settings, weights)
    tables = {
        "curves": _curves(errors),
        "spikes": spikes,
        "variance": _variance(errors, settings, weights),
        "interventions": _interventions(errors, settings, weights),
        "tables": _tables(jobs, settings),
    }
    facts = {
        "settings": {**asdict(settings), "overrides": dict(settings.overrides)},
        "sentences": sentences(tables, settings.n_train, settings.n_prompts),
        "summary": findings(tables, settings.dimension),
        "captions": {
            "spikes": "Error at N; mean error over (N, 1.5 N] (near) and over (2N, 3N] (far), relative to it and less "
            "it (jump), and the difference of the two (late jump), with 95 % bootstrap intervals over prompts",
            "variance": "The jump of learned positions by variance: absolute, relative, and the share of the fall of "
            "log(jump / error at N) that the larger error at N accounts for, with 95 % bootstrap intervals",
            "interventions": "The jump over c after multiplying the whole table of positions, the change by it, and "
            "the gap to what the relative size of positions predicts, with 95 % bootstrap intervals",
            "tables": "Root mean square sizes of the rows of learned tables and of the tokens they are added to",
        },
    }
    return StudyRecord(NAME, "The spike beyond the training length", tables, facts)


def configuration(model: Model, settings: PositionsSettings) -> TrainingConfig:
    """What the study trains for a model: all alike but for the positions."""
    given: dict[str, Any] = {
        "dimension": settings.dimension,
        "n_train": settings.n_train,
        "covariates": COVARIATES[model.family],
        "max_points": settings.n_points,
        "seed": model.training_seed,
        **settings.overrides,
    }
    return preset(settings.preset, **{**given, "model": {**given.get("model", {}), "positions": model.variant}})


def _job(model: Model, settings: PositionsSettings, runs: Path) -> Job:
    config = configuration(model, settings)
    return Job(f"training: {model.name}", config, runs / f"{model.name}-{digest(config.as_dict())}")


# (model name, treatment, panel) → squared errors / d; least squares has the name of its own.
Judged = dict[tuple[str, str, str], Errors]
LEAST_SQUARES = "least squares"


def _judge(settings: PositionsSettings, jobs: Mapping[Model, Job], store: Store, progress: Progress) -> Judged:
    panels = panel_laws(settings.dimension, settings.scales)
    asked = list(_questions(settings, jobs))
    judged: Judged = {}
    for i, (name, identity, treatment, panel, predictor) in enumerate(asked):
        progress(f"testing: {name}, {treatment}, on {panel}", i, len(asked))
        unit = f"{NAME}-{name}-{treatment}-{panel}".replace(" ", "-").replace("/", "over")
        key = {"predictor": identity, "treatment": treatment, "panel": panel, "dimension": settings.dimension}
        key |= {"n_prompts": settings.n_prompts, "seed": settings.seed, "n_points": settings.n_points}
        judged[name, treatment, panel] = store.table(
            unit,
            key,
            lambda predictor=predictor, panel=panel: squared_errors(
                predictor(),
                panels[panel][1],
                settings.n_points,
                n_prompts=settings.n_prompts,
                seed=settings.seed,
            ),
        ).to_numpy()
    progress("testing: done", len(asked), len(asked))
    return judged


def _questions(
    settings: PositionsSettings, jobs: Mapping[Model, Job]
) -> Iterator[tuple[str, str, str, str, Callable[[], Predictor]]]:
    """Name, identity, treatment and panel of everything tested, and a way to build its predictor."""
    panels = list(panel_laws(settings.dimension, settings.scales))
    low, *high = settings.scales
    for panel in panels:
        yield LEAST_SQUARES, LEAST_SQUARES, AS_TRAINED, panel, LeastSquares
    for model, job in jobs.items():
        identity, n = digest(job.config.as_dict()), settings.n_train
        for panel in panels:
            yield model.name, identity, AS_TRAINED, panel, lambda job=job: load(job.directory, device="auto")
        if model.variant != "learned":
            continue

        def build(treatment: Treatment, job: Job = job, n: int = n) -> Predictor:
            return treated(load(job.directory), treatment, n).to("auto")

        for name, treatment in TREATMENTS.items():
            yield model.name, identity, name, OWN[model.family], lambda build=build, t=treatment: build(t)
        for c in high:
            grown, shrunk = scaled(c**0.5), scaled(c**-0.5)
            yield model.name, identity, f"rows × √{c:g}", f"{c:g}·Exp(1)", lambda build=build, t=grown: build(t)
            yield model.name, identity, f"rows / √{c:g}", f"{low:g}·Exp(1)", lambda build=build, t=shrunk: build(t)


def _of(name: str) -> dict[str, Any]:
    """A model's name as columns."""
    variant, family, seed = name.rsplit("-", 2)
    return {"variant": variant, "family": family.removesuffix("cov"), "training_seed": int(seed.removeprefix("seed"))}


def _curves(errors: Judged) -> pd.DataFrame:
    """Tidy error curves: variant, family, training_seed, treatment, panel, position, mean, stderr, n."""
    frames: list[pd.DataFrame] = []
    for (name, treatment, panel), values in errors.items():
        reference = {"variant": name, "family": "reference", "training_seed": -1}
        n, positions = values.shape
        frames.append(
            pd.DataFrame(
                {
                    **(reference if name == LEAST_SQUARES else _of(name)),
                    "treatment": treatment,
                    "panel": panel,
                    "position": np.arange(positions),
                    "mean": values.mean(axis=0),
                    "stderr": values.std(axis=0, ddof=1) / np.sqrt(n),
                    "n": n,
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def near(values: Errors, n: int) -> Errors:
    """Positions in (N, 1.5 N], as for Figure 1."""
    return values[:, n + 1 : max(int(1.5 * n), n + 1) + 1]


def far(values: Errors, n: int) -> Errors:
    """Positions in (2N, 3N], the last ones tested."""
    return values[:, 2 * n + 1 :]


def _spikes(errors: Judged, settings: PositionsSettings, weights: np.ndarray) -> pd.DataFrame:
    """One row per (model, treatment, panel): error at N, and what becomes of it beyond."""
    n = settings.n_train
    rows: list[dict[str, Any]] = []
    for (name, treatment, panel), values in errors.items():
        if name == LEAST_SQUARES:
            continue
        at_n = values[:, n]
        base, late = at_n, treatment == "begun at untrained rows"
        if late:  # its contexts of N examples are compared with those of the model as it was trained
            base = errors[name, AS_TRAINED, panel][:, n]
        windows = {"at_N": at_n[:, None]} if late else {"near": near(values, n), "far": far(values, n)}
        row: dict[str, Any] = {**_of(name), "treatment": treatment, "panel": panel, "error_at_N": float(at_n.mean())}
        row |= {"stderr_at_N": float(at_n.std(ddof=1) / np.sqrt(len(at_n))), "n": len(at_n)}
        for window, inside in windows.items():
            ratio = (weights @ inside.mean(axis=1)) / (weights @ base)
            row |= _with_interval(window, ratio)
            if not late:
                row |= _with_interval(f"{window}_jump", weights @ (inside.mean(axis=1) - base))
        if not late:
            row |= _with_interval("late_jump", weights @ (windows["far"].mean(axis=1) - windows["near"].mean(axis=1)))
        row["verdict"] = verdict(row["at_N_low"] if late else max(row["near_low"], row["far_low"]))
        row["verdict_near"] = verdict(row["at_N_low"] if late else row["near_low"])
        rows.append(row)
    return pd.DataFrame(rows)


def verdict(low: float) -> str:
    """What the lower end of a ratio's interval says."""
    return "spike" if low > SPIKE else "rise" if low > RISE else "none"


def _with_interval(key: str, values: np.ndarray) -> dict[str, float]:
    """A statistic and its 95 % interval, from the measured value followed by resamples."""
    known = values[1:][~np.isnan(values[1:])]
    low, high = np.quantile(known, [0.025, 0.975]) if len(known) else (np.nan, np.nan)
    return {key: float(values[0]), f"{key}_low": float(low), f"{key}_high": float(high)}


def _jump(values: Errors, n: int, weights: np.ndarray) -> np.ndarray:
    """Mean error over (N, 1.5 N] less the error at N; measured, then resampled."""
    return weights @ (near(values, n).mean(axis=1) - values[:, n])


def _variance(errors: Judged, settings: PositionsSettings, weights: np.ndarray) -> pd.DataFrame:
    """How base, jump and ratio of learned positions change with c, and what the base's rise has to do with it.

    The ratio is 1 + J/B of jump J and error at N B, both over c. The fall of log(J/B) parts into log(B(c)/B(1)), the
    base's share, and log(J(1)/J(c)), the jump's.
    """
    n, (low, *_) = settings.n_train, settings.scales
    rows: list[dict[str, Any]] = []
    for model in _learned(errors):
        first: tuple[np.ndarray, np.ndarray] | None = None
        for c in settings.scales:
            values = errors[model, AS_TRAINED, f"{c:g}·Exp(1)"]
            base, jump = weights @ values[:, n] / c, _jump(values, n, weights) / c
            if first is None:
                first = base, jump
            base_1, jump_1 = first
            row: dict[str, Any] = {**_of(model), "c": c, "n": len(values)}
            statistics = {
                "base": c * base,
                "base_over_c": base,
                "jump": c * jump,
                "jump_over_c": jump,
                "ratio": 1 + jump / base,
                "jump_over_c_against_c1": jump / jump_1,
            }
            if c != low:
                statistics["jump_change"] = c * jump - low * jump_1
                # A resample without a jump has no logarithm and is left out of the interval.
                with np.errstate(invalid="ignore", divide="ignore"):
                    statistics["log_ratio_fall"] = np.log1p(jump_1 / base_1) - np.log1p(jump / base)
                    statistics["exponent"] = 1 + np.log(jump / jump_1) / np.log(c / low)
                    risen = np.log(base / base_1)
                    statistics["share_of_base"] = risen / (risen + np.log(jump_1 / jump))
            for key, samples in statistics.items():
                row |= _with_interval(key, samples)
            rows.append(row)
    return pd.DataFrame(rows)


def _interventions(errors: Judged, settings: PositionsSettings, weights: np.ndarray) -> pd.DataFrame:
    """The jump over c with the table of positions multiplied: at c by √c (relative size as at 1), at 1 by 1/√c.

    ``change`` is what the treatment adds to it, ``gap`` how far it is from what the relative size of positions alone
    would make of it: the jump over c that models have as trained where the relative size is the same. Differences,
    because the jump at c may be next to nothing.
    """
    n, (low, *high) = settings.n_train, settings.scales
    rows: list[dict[str, Any]] = []
    for model in _learned(errors):
        first = _jump(errors[model, AS_TRAINED, f"{low:g}·Exp(1)"], n, weights) / low
        for c in high:
            there = _jump(errors[model, AS_TRAINED, f"{c:g}·Exp(1)"], n, weights) / c
            for treatment, at, before, predicted in (
                (AS_TRAINED, c, there, there),
                (f"rows × √{c:g}", c, there, first),
                (f"rows / √{c:g}", low, first, there),
            ):
                values = errors[model, treatment, f"{at:g}·Exp(1)"]
                jump = _jump(values, n, weights) / at
                row: dict[str, Any] = {**_of(model), "c": c, "treatment": treatment, "tested_at": at, "n": len(values)}
                row |= {"base_over_c": float(values[:, n].mean() / at)}
                row |= _with_interval("jump_over_c", jump) | _with_interval("against_c1", jump / first)
                row |= _with_interval("change", jump - before) | _with_interval("gap", jump - predicted)
                rows.append(row)
    return pd.DataFrame(rows)


def _learned(errors: Judged) -> Sequence[str]:
    return list(dict.fromkeys(name for name, _, _ in errors if name.startswith("learned-")))


def _tables(jobs: Mapping[Model, Job], settings: PositionsSettings) -> pd.DataFrame:
    """Root mean square sizes of trained and untrained rows, beside those of the tokens that they are added to."""
    rows: list[dict[str, Any]] = []
    for model, job in jobs.items():
        network = load(job.directory).model
        if model.variant not in ("learned", "shifted") or network.positions is None or network.read_in is None:
            continue
        table, reader = network.positions.weight.detach().double(), network.read_in.weight.detach().double()
        reached = len(table) - 1 if model.variant == "shifted" else trained_rows(settings.n_train)
        size = table.square().mean(1).sqrt()
        for c in settings.scales:
            # E‖Wx‖² for x of covariance c·I, which is also the mean over c·Exp(1); without the bias.
            tokens = float((c * reader.square().sum() / len(reader)).sqrt())
            trained, untrained = float(size[:reached].mean()), float(size[reached:].mean())
            rows.append(
                {
                    **_of(model.name),
                    "c": c,
                    "trained_rows": trained,
                    "untrained_rows": untrained,
                    "input_tokens": tokens,
                    "trained_over_tokens": trained / tokens,
                }
            )
    return pd.DataFrame(rows)
