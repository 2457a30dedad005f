"""Fits of every depth, compared with the optimum, with classical algorithms and with remedies.

A *context* is N examples with several queries (``contexts``). Deep linear attention is computed from the eigenvalues of
Λ̂ where its weights are scalars (``spectral``), from second moments for any weights (``moments``), softmax attention
token by token (``softmax``); a *form* says which weights are free (``forms``), a *search* is the best of many L-BFGS
runs (``search``), a *model* is what is fitted (``models``). Beside them stand classical learners with constants fitted
on the same contexts (``references``). ``measures`` compares all on fresh prompts, ``limit`` takes N → ∞ exactly,
``remedies`` builds normalisations in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Annotated, Any, TypeAlias

import numpy as np
import pandas as pd
from pydantic import Field

from iclab.flow.deep import FULL, GD_PLUS, INVARIANT, Contexts, Weights
from iclab.foundations import normal_interval
from iclab.studies.depth.comparisons import HEAVY, comparisons, verdict
from iclab.studies.depth.contexts import ANISOTROPIC, EVERY, OWN, PLAIN, covariates, draw
from iclab.studies.depth.limit import limit_table
from iclab.studies.depth.measures import compare_all, nearest, stationarity
from iclab.studies.depth.models import LINEAR, PAPER, SOFTMAX, Learner, Model
from iclab.studies.depth.references import Reference, references
from iclab.studies.depth.remedies import remedies_table
from iclab.studies.lab import Lab
from iclab.studies.rows import where
from iclab.studies.store import Unit, several
from iclab.theory import minimum_loss

TITLE = "Depth, softmax and remedies"
SCALES = (0.25, 1.0, 4.0, 9.0)
NOISES = (0.0, 0.5)
# Deeper remedies explode on rare prompts under random covariances.
_REMEDY_LAYERS = (1, 2)
_KEY = ["learner", "form", "tied", "layers"]
# A model and the numbers that it was fitted to.
Fitted: TypeAlias = "Mapping[Model, Weights]"


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

    @property
    def sizes(self) -> dict[str, int]:
        """What training contexts depend on, besides their number."""
        return {"d": self.dimension, "n_train": self.n_train, "n_queries": self.n_queries, "seed": self.seed}

    @property
    def classical(self) -> dict[str, Any]:
        """What classical learners are fitted on."""
        return {**self.sizes, "n_prompts": self.n_prompts, "depths": self.depths}


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
    fresh = _measured(known, settings, lab)
    errors = fresh["errors"]
    compared = [model for model in known if model.attention != PAPER and model.form == _main_form(model.attention)]
    units = [
        Unit(
            nearest_of,
            {"model": m, "weights": known[m], "n": settings.n_nearest, **settings.classical},
            f"algorithm of {m}",
        )
        for m in compared
    ]
    found = lab.named_tables(units, "nearest algorithm")
    curved = [Model(inputs, LINEAR, GD_PLUS, False, L) for inputs in settings.laws for L in settings.form_depths]
    sizes = {"n_prompts": settings.n_prompts, **settings.sizes}
    slopes = [Unit(stationary, {"model": m, "weights": known[m], **sizes}, f"derivatives of {m}") for m in curved]
    return {
        "models": _models_table(fits, errors, settings),
        "fits": pd.concat(
            [runs.drop(columns="theta").assign(**asdict(model)) for model, runs in fits.items()], ignore_index=True
        ),
        "errors": errors,
        "compared": _with_verdicts(fresh["pairs"], errors, settings),
        "shifted": _shifted(errors),
        **found,
        "stationarity": lab.rows(slopes, "stationarity"),
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


def _main_form(attention: str) -> str:
    return INVARIANT if attention == SOFTMAX else GD_PLUS


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
                    "n_prompts": settings.n_softmax_prompts if model.attention == SOFTMAX else settings.n_prompts,
                    "n_starts": settings.n_starts,
                    **settings.sizes,
                },
                f"fit of {model}",
            )
            for model in row
        ]
        for model, runs in zip(row, lab.tables(units, "fitting"), strict=True):
            fits[model.inputs][model] = runs
    return {model: runs for mine in fits.values() for model, runs in mine.items()}


def fit(
    model: Model,
    before: Sequence[tuple[Model, Sequence[float]]],
    n_prompts: int,
    n_starts: int,
    d: int,
    n_train: int,
    n_queries: int,
    seed: int,
) -> pd.DataFrame:
    """Runs of L-BFGS of one model."""
    known = {other: other.weights(np.asarray(theta), d) for other, theta in before}
    contexts = training(model.inputs, n_prompts, d, n_train, n_queries, seed)
    return model.fit(contexts, known, n_starts, seed)


@lru_cache(maxsize=4)
def training(inputs: str, n_prompts: int, d: int, n_train: int, n_queries: int, seed: int) -> Contexts:
    """Training contexts."""
    return draw(covariates(inputs, d), n_train, n_prompts, n_queries, seed=seed, stream="training")


@lru_cache(maxsize=4)
def classical(
    inputs: str, d: int, n_train: int, n_queries: int, seed: int, n_prompts: int, depths: tuple[int, ...]
) -> list[Reference]:
    """Classical learners, their constants fitted on the training contexts."""
    return references(inputs, training(inputs, n_prompts, d, n_train, n_queries, seed), depths, seed)


def _best(runs: pd.DataFrame) -> pd.Series:
    return runs[runs["polished"]].sort_values("loss", kind="stable").iloc[0]


def _measured(known: Fitted, settings: Settings, lab: Lab) -> dict[str, pd.DataFrame]:
    """Tables ``errors`` and ``pairs``."""
    units = [
        Unit(
            measured,
            {
                "inputs": inputs,
                "fitted": [(model, weights) for model, weights in known.items() if model.inputs == inputs],
                "form_depths": settings.form_depths,
                "n_test": settings.n_test,
                **settings.classical,
            },
            f"fresh prompts, {inputs}",
        )
        for inputs in settings.laws
    ]
    return lab.named_tables(units, "errors")


def measured(
    inputs: str, fitted: Sequence[tuple[Model, Weights]], form_depths: tuple[int, ...], n_test: int, **sizes: Any
) -> pd.DataFrame:
    """Errors and paired differences."""
    errors, pairs = compare_all(
        inputs,
        dict(fitted),
        classical(inputs, **sizes),
        list(comparisons(sizes["depths"], form_depths)),
        dimension=sizes["d"],
        n_train=sizes["n_train"],
        scales=SCALES,
        n_test=n_test,
        seed=sizes["seed"],
    )
    return several({"errors": errors, "pairs": pairs})


def nearest_of(model: Model, weights: Weights, n: int, **sizes: Any) -> pd.DataFrame:
    """The nearest classical learner by position, and all distances."""
    found = classical(model.inputs, **sizes)
    verdicts, distances = nearest(model, weights, found, sizes["d"], sizes["n_train"], n, sizes["seed"])
    return several({"nearest": verdicts, "distances": distances})


def stationary(model: Model, weights: Weights, n_prompts: int, **sizes: Any) -> pd.DataFrame:
    """Derivatives of the risk at a fit."""
    return stationarity(model, weights, training(model.inputs, n_prompts, **sizes))


def _remedies(settings: Settings, lab: Lab) -> pd.DataFrame:
    """Remedies, and at scale 1 what the gain over one plain layer says."""
    units = [
        Unit(
            remedies_table,
            {
                "inputs": inputs,
                "dimension": settings.dimension,
                "n_train": settings.n_train,
                **{"layers": _REMEDY_LAYERS, "noises": NOISES, "scales": SCALES},
                **{name: getattr(settings, name) for name in ("n_prompts", "n_queries", "n_test", "n_starts", "seed")},
            },
            f"remedies, {inputs}",
        )
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
    main = errors[
        ~errors["tied"].astype(bool) & (errors["form"] == errors["learner"].map({LINEAR: GD_PLUS, SOFTMAX: INVARIANT}))
    ]
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
        rows.append(
            {
                **asdict(model),
                "numbers": model.rows * model.form_in(d).size,
                "train": 2 * found["loss"] / d,
                "train_stderr": 2 * found["stderr"] / d,
                "test": at["error"],
                "test_stderr": at["stderr"],
                "median": at["median"],
                "worst": at["worst"],
                "exact": exact,
                "n_starts": len(runs),
                "polished": int(runs["polished"].sum()),
                "near": int((runs["polished"] & (runs["loss"] <= 1.01 * found["loss"])).sum()),
                "slope": found["slope"],
                "n": int(at["n"]),
            }
        )
    return pd.DataFrame(rows)
