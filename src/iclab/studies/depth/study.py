"""The study itself: fits, measurements and tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from iclab.foundations import check_integer
from iclab.studies.depth.contexts import ANISOTROPIC, LAWS, Contexts, covariates, draw
from iclab.studies.depth.forms import FULL, GD_PLUS, INVARIANT
from iclab.studies.depth.limit import limit_table, trace_limit
from iclab.studies.depth.measures import measure, nearest, stationarity
from iclab.studies.depth.models import LINEAR, PAPER, SOFTMAX, Model
from iclab.studies.depth.moments import Weights
from iclab.studies.depth.references import references
from iclab.studies.depth.remedies import remedies_table
from iclab.studies.depth.verdicts import comparisons
from iclab.studies.depth.views import views
from iclab.studies.depth.words import words
from iclab.studies.record import StudyRecord
from iclab.studies.store import Store
from iclab.theory import minimum_loss

NAME = "depth"
DEPTHS = (1, 2, 3, 4, 6)
SCALES = (0.25, 1.0, 4.0, 9.0)
NOISES = (0.0, 0.5)
# Deeper remedies explode on rare prompts under random covariances.
_REMEDY_LAYERS = (1, 2)


@threadpool_limits.wrap(limits=1)  # the matrices are tiny: more threads only wait for one another
def run(
    *,
    store: Store,
    progress: Callable[[str, int, int], None],
    dimension: int = 5,
    n_train: int = 20,
    depths: Sequence[int] = DEPTHS,
    form_depths: Sequence[int] = (1, 2, 3),
    laws: Sequence[str] = LAWS,
    n_starts: int = 20,
    n_prompts: int = 4_000,
    n_softmax_prompts: int = 400,
    n_queries: int = 8,
    n_test: int = 20_000,
    n_nearest: int = 400,
    seed: int = 0,
) -> StudyRecord:
    """Fit every depth, and compare with the optimum, with classical algorithms and with remedies.

    Parameters
    ----------
    store : Store
        Finished fits and measurements.
    progress : callable
        Called with (label, done, total).
    dimension, n_train : int
        d and N.
    depths : sequence of int
        L of linear attention in the GD++ form and of softmax attention, tied and untied.
    form_depths : sequence of int
        L at which wider forms, up to all weights, and (3) as it stands are fitted, untied; a part of ``depths``.
    laws : sequence of str
        Laws of inputs, of ``contexts.LAWS``.
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

    Returns
    -------
    StudyRecord
        Tables ``models``, ``fits``, ``errors``, ``pairs``, ``nearest``, ``distances``, ``stationarity``, ``limit``,
        ``remedies``, and those of ``views``, which the page shows. Errors are E(ŷ − y)² over E tr Λ of the test law,
        twice Definition 1's loss.
    """
    settings: dict[str, Any] = {
        "dimension": check_integer(dimension, "dimension", minimum=2),
        "n_train": check_integer(n_train, "n_train", minimum=2),
        "n_starts": check_integer(n_starts, "n_starts", minimum=5),
        "n_prompts": check_integer(n_prompts, "n_prompts", minimum=50),
        "n_softmax_prompts": check_integer(n_softmax_prompts, "n_softmax_prompts", minimum=50),
        "n_queries": check_integer(n_queries, "n_queries", minimum=1),
        "n_test": check_integer(n_test, "n_test", minimum=2),
        "n_nearest": check_integer(n_nearest, "n_nearest", minimum=2),
        "depths": [check_integer(depth, "depths", minimum=1) for depth in depths],
        "form_depths": [check_integer(depth, "form_depths", minimum=1) for depth in form_depths],
        "laws": list(laws),
        "seed": check_integer(seed, "seed", minimum=0),
    }
    models = [model for law in laws for model in _models(law, depths, form_depths)]
    compared = [model for model in models if model.attention != PAPER and model.form in _main_forms(model.attention)]
    total, done = len(models) + len(compared) + 2 * len(laws) + 1, 0

    def step(label: str) -> None:
        nonlocal done
        progress(label, done, total)
        done += 1

    base = {name: settings[name] for name in ("dimension", "n_train", "n_queries", "seed")}
    fits: dict[Model, pd.DataFrame] = {}
    known: dict[Model, Weights] = {}
    contexts: dict[tuple[str, int], Contexts] = {}

    def training(law: str, count: int) -> Contexts:
        if (law, count) not in contexts:
            contexts[law, count] = draw(
                covariates(law, dimension), n_train, count, n_queries, seed=seed, stream="training"
            )
        return contexts[law, count]

    for model in models:
        step(f"{model.law}: {model.name}")
        count = n_softmax_prompts if model.attention == SOFTMAX else n_prompts
        # What is fitted before sets warm starts, so the list of depths is part of the question.
        configuration = {
            **base,
            **vars(model),
            "count": count,
            "n_starts": n_starts,
            "depths": [d for d in settings["depths"] if d <= model.layers],
        }
        fits[model] = store.table(
            f"{NAME}-fit",
            configuration,
            lambda model=model, count=count: model.fit(training(model.law, count), known, n_starts, seed),
        )
        known[model] = model.weights(np.asarray(_best(fits[model])["theta"]), dimension)

    measured: list[pd.DataFrame] = []
    slopes: list[pd.DataFrame] = []
    neighbours: list[pd.DataFrame] = []
    remedies: list[pd.DataFrame] = []
    for law in laws:
        own = {model: weights for model, weights in known.items() if model.law == law}
        found = None
        step(f"{law}: fresh prompts")

        def classical(law: str = law) -> Any:
            nonlocal found
            if found is None:
                found = references(law, training(law, n_prompts), depths, seed)
            return found

        measured.append(
            store.table(
                f"{NAME}-errors",
                {**settings, "law": law, "scales": SCALES},
                lambda law=law, own=own, classical=classical: measure(
                    law,
                    own,
                    classical(),
                    [(each.first, each.second) for each in comparisons(law, depths, form_depths)],
                    dimension=dimension,
                    n_train=n_train,
                    scales=SCALES,
                    n_test=n_test,
                    seed=seed,
                ),
            )
        )
        for model in (model for model in compared if model.law == law):
            step(f"{law}: algorithm of {model.name}")
            neighbours.append(
                store.table(
                    f"{NAME}-nearest",
                    {**settings, **vars(model)},
                    lambda model=model, classical=classical: nearest(
                        model,
                        known[model],
                        classical(),
                        dimension=dimension,
                        n_train=n_train,
                        n_prompts=n_nearest,
                        seed=seed,
                    ),
                )
            )
        for layers in form_depths:
            model = Model(law, LINEAR, GD_PLUS, False, layers)
            slopes.append(
                store.table(
                    f"{NAME}-stationarity",
                    {**settings, **vars(model)},
                    lambda model=model: stationarity(model, known[model], training(model.law, n_prompts)),
                )
            )
        if law == ANISOTROPIC:  # scalars are the optimum by symmetry under the other laws only
            continue
        step(f"{law}: remedies")
        sizes = {"n_prompts": n_prompts, "n_test": n_test, "n_starts": n_starts}
        remedies.append(
            store.table(
                f"{NAME}-remedies",
                {**base, **sizes, "law": law, "noises": NOISES, "scales": SCALES, "layers": _REMEDY_LAYERS},
                lambda law=law, sizes=sizes: remedies_table(
                    law,
                    dimension,
                    n_train,
                    _REMEDY_LAYERS,
                    NOISES,
                    SCALES,
                    n_queries=n_queries,
                    seed=seed,
                    **sizes,
                ),
            )
        )
    step("N → ∞")
    limit = store.table(
        f"{NAME}-limit",
        {"depths": settings["depths"], "n_starts": n_starts, "seed": seed},
        lambda: limit_table(depths, n_starts, seed),
    )
    progress("done", total, total)
    tables = _tables(models, fits, pd.concat(measured), dimension, n_train)
    tables |= _split(pd.concat(neighbours), {"verdicts": "nearest", "distances": "distances"})
    tables["stationarity"] = pd.concat(slopes, ignore_index=True)
    tables["remedies"] = pd.concat(remedies, ignore_index=True)
    tables["limit"] = limit
    tables |= views(tables, settings)
    facts = {"settings": settings, "trace_limit": trace_limit(dimension), **words(tables, settings)}
    return StudyRecord(NAME, "Depth, softmax and remedies (open questions)", tables, facts)


def _main_forms(attention: str) -> tuple[str, ...]:
    return (INVARIANT,) if attention == SOFTMAX else (GD_PLUS,)


def _models(law: str, depths: Sequence[int], form_depths: Sequence[int]) -> Iterator[Model]:
    """In an order in which warm starts are known: tied before untied, narrow before wide, shallow before deep."""
    for attention, form in ((LINEAR, GD_PLUS), (SOFTMAX, INVARIANT)):
        for layers in sorted(depths):
            if layers > 1:
                yield Model(law, attention, form, True, layers)
            yield Model(law, attention, form, False, layers)
    for layers in sorted(form_depths):
        for form in (INVARIANT, FULL):
            yield Model(law, LINEAR, form, False, layers)
        if layers > 1:
            yield Model(law, PAPER, INVARIANT, False, layers)


def _best(runs: pd.DataFrame) -> pd.Series:
    return runs[runs["polished"]].sort_values("loss", kind="stable").iloc[0]


def _split(whole: pd.DataFrame, names: Mapping[str, str]) -> dict[str, pd.DataFrame]:
    return {
        names[str(name)]: rows.drop(columns="table").dropna(axis="columns", how="all").reset_index(drop=True)
        for name, rows in whole.groupby("table", sort=False)
    }


def _tables(
    models: Sequence[Model],
    fits: Mapping[Model, pd.DataFrame],
    measured: pd.DataFrame,
    dimension: int,
    n_train: int,
) -> dict[str, pd.DataFrame]:
    tables = _split(measured, {"errors": "errors", "pairs": "pairs"})
    own = {(row["law"], row["name"]): row for _, row in tables["errors"].query("test == 'c = 1'").iterrows()}
    rows, runs = [], []
    for model in models:
        found, at = _best(fits[model]), own[model.law, model.name]
        near = int((fits[model]["polished"] & (fits[model]["loss"] <= 1.01 * found["loss"])).sum())
        exact = np.nan
        if model.layers == 1 and model.attention == LINEAR:
            exact = 2 * minimum_loss(covariates(model.law, dimension), n_train) / dimension
        rows.append(
            {
                **vars(model),
                "name": model.name,
                "numbers": model.rows * model.form_in(dimension).size,
                "train": 2 * found["loss"] / dimension,
                "train_stderr": 2 * found["stderr"] / dimension,
                "test": at["error"],
                "test_stderr": at["stderr"],
                "median": at["median"],
                "worst": at["worst"],
                "exact": exact,
                "n_starts": len(fits[model]),
                "polished": int(fits[model]["polished"].sum()),
                "near": near,
                "slope": found["slope"],
                "n": int(at["n"]),
            }
        )
        runs.append(fits[model].drop(columns="theta").assign(**vars(model)))
    return {"models": pd.DataFrame(rows), "fits": pd.concat(runs, ignore_index=True), **tables}
