"""Fits of every depth, compared with the optimum, with classical algorithms and with remedies.

A *context* is N examples with several queries (``contexts``). Deep linear attention is computed from the eigenvalues of
Λ̂ where its weights are scalars (``spectral``), from second moments for any weights (``moments``), softmax attention
token by token (``softmax``); a *form* says which weights are free (``forms``), a *search* is the best of many L-BFGS
runs (``search``), a *model* is what is fitted (``models``). Beside them stand classical learners with constants fitted
on the same contexts (``references``). ``measures`` compares all on fresh prompts, ``limit`` takes N → ∞ exactly,
``remedies`` builds normalisations in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field

from iclab.flow.deep import FULL, GD_PLUS, INVARIANT
from iclab.foundations import normal_interval
from iclab.studies.depth.comparisons import HEAVY, comparisons, verdict
from iclab.studies.depth.contexts import ANISOTROPIC, EVERY, OWN, PLAIN, Sample, covariates, training
from iclab.studies.depth.limit import limit_table
from iclab.studies.depth.measures import measured, nearest, stationarity
from iclab.studies.depth.models import LINEAR, MAIN, PAPER, SOFTMAX, Learner, Model
from iclab.studies.depth.remedies import remedies_table
from iclab.studies.lab import Lab
from iclab.studies.rows import where
from iclab.studies.store import Unit
from iclab.theory import minimum_loss

TITLE = "Depth, softmax and remedies"
SCALES = (0.25, 1.0, 4.0, 9.0)
NOISES = (0.0, 0.5)
# Deeper remedies explode on rare prompts under random covariances.
_REMEDY_LAYERS = (1, 2)
_KEY = ["learner", "form", "tied", "layers"]


@dataclass(frozen=True)
class Settings:
    """Sizes of the study.

    Attributes
    ----------
    dimension, n_train : int
        d and N.
    depths : tuple of int
        L of linear attention in the GD++ form and of softmax attention, tied and untied.
    form_depths : tuple of int
        L at which wider forms, up to all weights, and (3) as it stands are fitted, untied; a part of ``depths``.
    laws : tuple of str
        Distributions of inputs, of ``contexts.EVERY``.
    n_starts : int
        L-BFGS runs per model, at least 5.
    n_prompts, n_softmax_prompts : int
        Training contexts of linear and of softmax attention.
    n_queries : int
        Queries per training context.
    n_test, n_nearest : int
        Fresh prompts for errors and for the nearest algorithm.
    seed : int
        Of prompts and starts.
    """

    dimension: Annotated[int, Field(ge=2)] = 5
    n_train: Annotated[int, Field(ge=2)] = 20
    depths: tuple[Annotated[int, Field(ge=1)], ...] = (1, 2, 3, 4, 6)
    form_depths: tuple[Annotated[int, Field(ge=1)], ...] = (1, 2, 3)
    laws: tuple[str, ...] = EVERY
    n_starts: Annotated[int, Field(ge=5)] = 20
    n_prompts: Annotated[int, Field(ge=50)] = 4_000
    n_softmax_prompts: Annotated[int, Field(ge=50)] = 400
    n_queries: Annotated[int, Field(ge=1)] = 8
    n_test: Annotated[int, Field(ge=2)] = 20_000
    n_nearest: Annotated[int, Field(ge=2)] = 400
    seed: Annotated[int, Field(ge=0)] = 0

    def sample(self, inputs: str, attention: str = LINEAR) -> Sample:
        """Training contexts of an attention."""
        n_prompts = self.n_softmax_prompts if attention == SOFTMAX else self.n_prompts
        return Sample(inputs, self.dimension, self.n_train, self.n_queries, n_prompts, self.seed)


def measure(settings: Settings, lab: Lab) -> dict[str, pd.DataFrame]:
    """Fit every depth, and compare.

    Returns
    -------
    dict of DataFrame
        ``models``, ``fits``, ``errors``, ``compared``, ``shifted``, ``nearest``, ``distances``, ``stationarity``,
        ``limit``, ``remedies``. Errors are E(ŷ − y)² over E tr Λ of the test inputs, twice Definition 1's loss.
    """
    fits = _fit_all(settings, lab)
    known = {model: model.weights(np.asarray(_best(runs)["theta"]), settings.dimension) for model, runs in fits.items()}

    def units(function: Callable[..., pd.DataFrame], label: str, models: Iterable[Model], **more: Any) -> list[Unit]:
        """Of every model, by its weights and the sample on which classical learners are fitted."""
        each = [(m, {"model": m, "weights": known[m], "sample": settings.sample(m.inputs), **more}) for m in models]
        return [Unit(function, given, f"{label} of {model}") for model, given in each]

    main = [model for model in known if model.form == MAIN.get(model.attention)]
    curved = [Model(inputs, LINEAR, GD_PLUS, False, L) for inputs in settings.laws for L in settings.form_depths]
    fresh = [
        Unit(
            measured,
            {
                "sample": settings.sample(inputs),
                "fitted": [(model, weights) for model, weights in known.items() if model.inputs == inputs],
                "scales": SCALES,
                **{name: getattr(settings, name) for name in ("depths", "form_depths", "n_test")},
            },
            f"fresh prompts, {inputs}",
        )
        for inputs in settings.laws
    ]
    tables = lab.named_tables(fresh, "errors")
    errors = tables["errors"]
    algorithms = units(nearest, "algorithm", main, depths=settings.depths, n=settings.n_nearest)
    ended = [runs.drop(columns="theta").assign(**asdict(model)) for model, runs in fits.items()]
    return {
        "models": _models_table(fits, errors, settings),
        "fits": pd.concat(ended, ignore_index=True),
        "errors": errors,
        "compared": _with_verdicts(tables["pairs"], errors, settings),
        "shifted": _shifted(errors),
        **lab.named_tables(algorithms, "nearest algorithm"),
        "stationarity": lab.rows(units(stationarity, "derivatives", curved), "stationarity"),
        "remedies": _remedies(settings, lab),
        "limit": lab.table(
            limit_table, "N → ∞", depths=settings.depths, n_starts=settings.n_starts, seed=settings.seed
        ),
    }


def _models(inputs: str, settings: Settings) -> Iterator[Model]:
    """In an order in which warm starts are known: tied before untied, narrow before wide, shallow before deep."""
    for attention, form in ((LINEAR, GD_PLUS), (SOFTMAX, INVARIANT)):
        for layers in sorted(settings.depths):
            if layers > 1:
                yield Model(inputs, attention, form, True, layers)
            yield Model(inputs, attention, form, False, layers)
    for layers in sorted(settings.form_depths):
        for form in (INVARIANT, FULL):
            yield Model(inputs, LINEAR, form, False, layers)
        if layers > 1:
            yield Model(inputs, PAPER, INVARIANT, False, layers)


def _fit_all(settings: Settings, lab: Lab) -> dict[Model, pd.DataFrame]:
    """Every model's runs; each begins at what is fitted before it on the same inputs, other inputs go side by side."""
    fits: dict[str, dict[Model, pd.DataFrame]] = {inputs: {} for inputs in settings.laws}
    for row in zip(*(_models(inputs, settings) for inputs in settings.laws), strict=True):
        units = [
            Unit(
                fit,
                {
                    "model": model,
                    "before": [(other, _best(runs)["theta"]) for other, runs in fits[model.inputs].items()],
                    "sample": settings.sample(model.inputs, model.attention),
                    "n_starts": settings.n_starts,
                },
                f"fit of {model}",
            )
            for model in row
        ]
        for model, runs in zip(row, lab.tables(units, "fitting"), strict=True):
            fits[model.inputs][model] = runs
    return {model: runs for mine in fits.values() for model, runs in mine.items()}


def fit(model: Model, before: Sequence[tuple[Model, Sequence[float]]], sample: Sample, n_starts: int) -> pd.DataFrame:
    """Runs of L-BFGS of one model."""
    known = {other: other.weights(np.asarray(theta), sample.dimension) for other, theta in before}
    return model.fit(training(sample), known, n_starts, sample.seed)


def _best(runs: pd.DataFrame) -> pd.Series:
    return runs[runs["polished"]].sort_values("loss", kind="stable").iloc[0]


def _remedies(settings: Settings, lab: Lab) -> pd.DataFrame:
    """Remedies, and at scale 1 what the gain over one plain layer says."""
    given = {"layers": _REMEDY_LAYERS, "noises": NOISES, "scales": SCALES}
    given |= {"n_test": settings.n_test, "n_starts": settings.n_starts}
    units = [
        Unit(remedies_table, {"sample": settings.sample(inputs), **given}, f"remedies, {inputs}")
        for inputs in settings.laws
        if inputs != ANISOTROPIC  # scalars are the optimum by symmetry under the other distributions only
    ]
    table = lab.rows(units, "remedies")
    key = ["inputs", "noise", "scale"]
    plain = where(table, remedy=PLAIN, layers=1).set_index(key)

    def says(row: pd.Series) -> str | None:
        low, high = map(float, normal_interval(row["gain"], row["gain_stderr"]))
        return verdict(row, plain.loc[tuple(row[key])], low, high, settings.dimension) if low < high else None

    return table.assign(says=pd.Series([says(row) for _, row in table.iterrows()], index=table.index, dtype=object))


def _at_home(errors: pd.DataFrame) -> dict[tuple[Any, ...], pd.Series]:
    """Inputs and learner to its errors on prompts like those of training."""
    home = where(errors, test=OWN, c=1)
    return {(row["inputs"], *row[_KEY]): row for _, row in home.iterrows()}


def _with_verdicts(pairs: pd.DataFrame, errors: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """The comparisons with what they say, and whether rare prompts carry one of the means (``rare``)."""
    own = _at_home(errors)
    every = comparisons(settings.depths, settings.form_depths)
    second = {(each.against, each.first): each.second for each in every}
    says, rare = [], []
    for _, row in pairs.iterrows():
        first = Learner(*row[_KEY])
        one, other = own[(row["inputs"], *first)], own[(row["inputs"], *second[row["against"], first])]
        says.append(verdict(one, other, row["low"], row["high"], settings.dimension))
        rare.append(bool(one["worst"] > HEAVY or other["worst"] > HEAVY))
    return pairs.assign(says=says, rare=rare)


def _shifted(errors: pd.DataFrame) -> pd.DataFrame:
    """Untied models under every shift of their inputs, beside their own error and median."""
    main = errors[~errors["tied"].astype(bool) & (errors["form"] == errors["learner"].map(MAIN))]
    home = (main["test"] == OWN) & (main["c"] == 1)
    key = ["inputs", "learner", "layers"]
    own = main[home].set_index(key)[["error", "median"]].add_prefix("own_")
    columns = [*key, "test", "c", "error", "stderr", "median", "worst", "n"]
    return main[~home][columns].join(own, on=key).reset_index(drop=True)


def _models_table(fits: Mapping[Model, pd.DataFrame], errors: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    own, d, rows = _at_home(errors), settings.dimension, []
    for model, runs in fits.items():
        found, at = _best(runs), own[(model.inputs, *model.learner)]
        exact = np.nan
        if model.layers == 1 and model.attention == LINEAR:
            exact = 2 * minimum_loss(covariates(model.inputs, d), settings.n_train) / d
        near = runs["polished"] & (runs["loss"] <= 1.01 * found["loss"])
        rows.append(
            {
                **asdict(model),
                "numbers": model.rows * model.form_in(d).size,
                **{"train": 2 * found["loss"] / d, "train_stderr": 2 * found["stderr"] / d},
                **{"test": at["error"], "test_stderr": at["stderr"], "median": at["median"], "worst": at["worst"]},
                **{"exact": exact, "n_starts": len(runs), "polished": int(runs["polished"].sum())},
                **{"near": int(near.sum()), "slope": found["slope"], "n": int(at["n"])},
            }
        )
    return pd.DataFrame(rows)
