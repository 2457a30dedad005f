"""All that can be said of a model's inside, as tables: what ``iclab inspect`` draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64

from iclab.evaluation import compare
from iclab.evaluation.curves import predictions
from iclab.foundations import InvalidInputError, check_integer
from iclab.inspect.activations import activations
from iclab.inspect.attention import attention_shares, induction_scores, mean_patterns
from iclab.inspect.effects import importance
from iclab.inspect.measures import compare_with_descent, critical_distance, learner_and_theory, products_and_identity
from iclab.inspect.opening import Inspectable, ModulePredictor, opened
from iclab.inspect.probes import probe, stream_of
from iclab.inspect.quantities import QUANTITIES, posterior_mean
from iclab.inspect.readouts import nearest_steps, read_out
from iclab.inspect.tokens import token_table
from iclab.models import Transformer
from iclab.models.architecture import ATTENTION
from iclab.predictors import LeastSquares, bayes_predictor
from iclab.predictors.registry import rivals
from iclab.prompts import Gaussian, Prompts
from iclab.prompts.labels import REAL

if TYPE_CHECKING:
    import pandas as pd

    from iclab.evaluation.streaming import SamplesPrompts

Progress = Callable[[str, int, int], None]
# Positions of prompts that each part looks at: so that two cores need less than two minutes for a shipped model.
_ERRORS, _PROBED, _READ, _ABLATED, _SEEN = 40_000, 20_000, 5_000, 2_600, 2_600
_AVERAGED = 4 * _ABLATED  # what is noise in a mean adds to the error that it causes
_REFERENCES = (
    "bayes",
    "least_squares",
    "lsa",
    "averaging",
    "unigram",
    "bigram",
    "true_law",
    "3_nearest_neighbors",
    "zero",
)
_DESCRIBED = (
    "layers",
    "width",
    "heads",
    "dimension",
    "embedding",
    "read_in",
    "positions",
    "mlp",
    "residual",
    "layer_norm",
    "loops",
    "head",
)
_TARGETS = ("moment", "least_squares", "least_squares_prediction")


@dataclass(frozen=True, eq=False)
class Overview:
    """What was found in a model.

    Attributes
    ----------
    facts : mapping
        Name, number of parameters, positions, prompts of each part, seed, and what the blocks of ``readouts`` are.
    tables : mapping
        Tables by name; those that a model cannot have are missing.
    patterns : mapping
        Block to the mean attention pattern of its heads, shape (H, T, T).
    """

    facts: Mapping[str, Any]
    tables: Mapping[str, pd.DataFrame]
    patterns: Mapping[int, Float64[np.ndarray, "H T T"]] = field(default_factory=dict)


def overview(
    model: Inspectable,
    distribution: SamplesPrompts,
    n_points: int,
    *,
    n_prompts: int = 1000,
    seed: int = 0,
    progress: Progress = lambda *_: None,
) -> Overview:
    """Look at all that a model has: error, attention, read-outs, probes, heads, measures.

    Parameters
    ----------
    model : str, Path, Transformer, OwnModule or predictor
        As in ``run``.
    distribution : PromptDistribution, MarkovChains, …
        Prompts to look at it with.
    n_points : int
        Positions, at least 2.
    n_prompts : int
        Most prompts of a part, at least 12; long prompts are fewer.
    seed : int
        Of the prompts.
    progress : callable
        Called with (what is done, done, in all).

    Returns
    -------
    Overview
        Its tables are ``parts``, ``prompts``, ``tokens``, ``errors``, ``activations``, ``shares``, ``induction``,
        ``readouts``, ``probes``, ``importance``, ``products``, ``critical``, ``descent`` and ``learner``, as the
        functions of this room give them.

    Raises
    ------
    InvalidInputError
        If the prompts do not fit the model.
    """
    predictor = opened(model)
    n_points = check_integer(n_points, "n_points", minimum=2)
    n_prompts = check_integer(n_prompts, "n_prompts", minimum=12)
    counts = {
        name: max(12, min(n_prompts, budget // n_points))
        for name, budget in {
            "errors": _ERRORS,
            "probes": _PROBED,
            "readouts": _READ,
            "importance": _ABLATED,
            "means": _AVERAGED,
            "attention": _SEEN,
        }.items()
    }
    draw = _Drawn(distribution, n_points, seed, counts)
    tables: dict[str, pd.DataFrame] = {"parts": _parts(predictor)}
    tables["prompts"] = _prompts(distribution, n_points, seed)
    progress("errors", 0, counts["errors"])
    tables["errors"] = _errors(predictor, distribution, n_points, counts["errors"], seed, progress)
    tables["activations"] = activations(predictor, draw("attention"))
    patterns: Mapping[int, np.ndarray] = {}
    if isinstance(predictor.model, Transformer):
        if set(predictor.architecture.kinds) & set(ATTENTION):
            patterns = mean_patterns(predictor, draw("attention"))
            tables |= _attention(predictor, draw("attention"))
            progress("attention", 1, 1)
        tables["tokens"] = token_table(predictor.model, draw("attention"))
    prompts = draw("importance")
    real = prompts.labels == REAL and prompts.dimension > 0
    read = stream_of(predictor, draw("readouts")) if real else []
    if real:
        tables["readouts"] = nearest_steps(
            _read(predictor, draw("readouts"), read), draw("readouts"), progress=progress
        )
    if read:
        tables["probes"] = _probes(predictor, distribution, draw("probes"), n_points, seed, progress)
    tables["importance"] = importance(predictor, prompts, over=draw("means", after="importance"), progress=progress)
    if real:
        tables |= _measures(predictor, draw("attention"), distribution)
        progress("measures", 1, 1)
    facts = {
        "name": predictor.architecture.object if hasattr(predictor.architecture, "object") else predictor.name,
        "n_parameters": predictor.model.n_parameters,
        "n_train": predictor.n_train,
        "n_points": n_points,
        "dimension": prompts.dimension,
        "labels": prompts.labels.kind,
        "read": [*read, "prediction"],
        "seed": seed,
        "positions": _places(prompts.dimension, n_points),
        "n": counts,
    }
    return Overview(facts, tables, patterns)


@dataclass(frozen=True)
class _Drawn:
    """Prompts of each part: the first ones of the evaluation stream, or those that follow them."""

    distribution: Any
    n_points: int
    seed: int
    counts: Mapping[str, int]

    def __call__(self, part: str, *, after: str | None = None) -> Prompts:
        start = 0 if after is None else self.counts[after]
        return self.distribution.sample(self.counts[part], self.n_points, seed=self.seed, start=start)


def _places(dimension: int, n_points: int) -> list[int]:
    """Positions d/2, d, 2d and the last that there are."""
    last = n_points - 1
    wanted = [dimension // 2, dimension, 2 * dimension] if dimension else [last // 4, last // 2]
    return sorted({place for place in (*wanted, last) if 0 < place <= last})


def _parts(predictor: Any) -> pd.DataFrame:
    """What the model is made of."""
    import pandas as pd

    module = predictor.model
    if isinstance(module, Transformer):
        architecture = predictor.architecture
        shown = [(name, str(getattr(architecture, name))) for name in _DESCRIBED]
        mixers = ", ".join(dict.fromkeys(architecture.kinds))
        return pd.DataFrame([("mixers", mixers), *shown], columns=["part", "value"])
    shown = [
        (name, type(part).__name__, sum(p.numel() for p in part.parameters()))
        for name, part in module.net.named_modules()
        if name
    ]
    return pd.DataFrame(shown, columns=["part", "value", "parameters"])


def _prompts(distribution: Any, n_points: int, seed: int) -> pd.DataFrame:
    """What the model is looked at with."""
    import pandas as pd

    known = {name: getattr(distribution, name, None) for name in ("covariates", "tasks", "noise", "outliers")}
    rows = [
        (name, f"{part:g}" if isinstance(part, float) else type(part).__name__) for name, part in known.items() if part
    ]
    rows = rows or [("law", type(distribution).__name__)]
    rows += [("dimension", str(distribution.dimension)), ("examples", f"0 … {n_points - 1}"), ("seed", str(seed))]
    return pd.DataFrame(rows, columns=["part", "value"])


def _errors(
    predictor: Any, distribution: Any, n_points: int, count: int, seed: int, progress: Progress
) -> pd.DataFrame:
    length = predictor.n_train or n_points - 1
    known = rivals(distribution, length)
    lines = {name: known[name] for name in _REFERENCES if name in known}
    return compare(
        {"model": predictor, **lines},
        {"prompts": distribution},
        n_points,
        n_prompts=count,
        seed=seed,
        progress=lambda _, done, total: progress("errors", done, total),
    )


def _read(predictor: Any, prompts: Prompts, names: Sequence[str]) -> Float64[np.ndarray, "L B P"]:
    """Read-outs after each of these, and last the model's own predictions."""
    own = predictions(predictor, "the model", prompts)[None]
    return np.concatenate([read_out(predictor, prompts), own]) if names else own


def _attention(predictor: Any, prompts: Prompts) -> dict[str, pd.DataFrame]:
    found = {"shares": attention_shares(predictor, prompts)}
    if prompts.n_classes is not None and not prompts.dimension:
        found["induction"] = induction_scores(predictor, prompts)
    return found


def _probes(
    predictor: Any, distribution: Any, prompts: Prompts, n_points: int, seed: int, progress: Progress
) -> pd.DataFrame:
    places = _places(prompts.dimension, n_points)[:3]
    targets = {name: QUANTITIES[name] for name in _TARGETS}
    with suppress(InvalidInputError):  # where the law has one, and it is not least squares itself
        bayes = bayes_predictor(distribution)
        if not isinstance(bayes, LeastSquares):
            targets["posterior_mean"] = posterior_mean(distribution)
    made = not isinstance(predictor, ModulePredictor)  # else nobody knows its weights before training
    return probe(predictor, prompts, targets, positions=places, folds=3, untrained=made, seed=seed, progress=progress)


def _measures(predictor: Any, prompts: Prompts, distribution: Any) -> dict[str, pd.DataFrame]:
    found = {"descent": compare_with_descent(predictor, prompts)}
    covariates = getattr(distribution, "covariates", None)
    covariance = covariates.covariance if isinstance(covariates, Gaussian) else None
    if covariance is not None and len(prompts) > prompts.dimension:
        found["learner"] = learner_and_theory(predictor, prompts, covariance)
    if isinstance(predictor.model, Transformer) and set(predictor.architecture.kinds) & set(ATTENTION):
        found["products"] = products_and_identity(predictor)
        if set(predictor.architecture.kinds) == {"merged"} and predictor.architecture.read_in == "identity":
            found["critical"] = critical_distance(
                predictor, np.eye(prompts.dimension) if covariance is None else covariance
            )
    return found
