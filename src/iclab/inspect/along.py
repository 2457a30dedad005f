"""What is measured at every checkpoint of a training, by name; ``iclab.studies.along`` does it for a whole run.

A *measure* is a function ``(predictor, distributions, n_points, *, n_prompts, seed, …)`` that returns a table; one of
your own, at the top of a module, does as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from iclab.evaluation import compare, nearest_algorithm
from iclab.evaluation.streaming import SamplesPrompts
from iclab.inspect.attention import attention_shares
from iclab.inspect.probes import probe
from iclab.inspect.readouts import nearest_steps, read_out
from iclab.inspect.strategies import relative_distances
from iclab.models import TransformerPredictor
from iclab.predictors import GradientDescent, LeastSquares, Predictor, Ridge

if TYPE_CHECKING:
    import pandas as pd

Distributions: TypeAlias = Mapping[str, SamplesPrompts]
Measure: TypeAlias = "Callable[..., pd.DataFrame]"


def error(
    predictor: TransformerPredictor,
    distributions: Distributions,
    n_points: int,
    *,
    n_prompts: int,
    seed: int,
    score: str | None = None,
    references: Mapping[str, Predictor] | None = None,
) -> pd.DataFrame:
    """Scores by position, as ``evaluation.compare`` gives them; the model is called "model".

    Parameters
    ----------
    predictor, distributions, n_points, n_prompts, seed, score
        As in ``compare``.
    references : dict of str to predictor, optional
        Judged beside it on the same prompts.
    """
    named = {"model": predictor, **(references or {})}
    return compare(named, distributions, n_points, n_prompts=n_prompts, seed=seed, score=score)


def nearest(
    predictor: TransformerPredictor,
    distributions: Distributions,
    n_points: int,
    *,
    n_prompts: int,
    seed: int,
    candidates: Mapping[str, Predictor] | None = None,
    beyond: float = 0.1,
) -> pd.DataFrame:
    """The nearest algorithm by position: the verdicts of ``evaluation.nearest_algorithm``.

    Parameters
    ----------
    predictor, distributions, n_points, n_prompts, seed, beyond
        As in ``nearest_algorithm``.
    candidates : dict of str to predictor, optional
        Least squares, ridge with penalties 0.1 and 1, and 1 and 8 steps of descent when omitted.
    """
    if candidates is None:
        rate = 1 / (1 + distributions[next(iter(distributions))].dimension ** 0.5) ** 2
        candidates = {
            "least_squares": LeastSquares(),
            "ridge_0.1": Ridge(0.1),
            "ridge_1": Ridge(1.0),
            "descent_1": GradientDescent(1, rate),
            "descent_8": GradientDescent(8, rate),
        }
    found = nearest_algorithm(
        predictor, candidates, distributions, n_points, n_prompts=n_prompts, seed=seed, beyond=beyond
    )
    return found.verdicts


def strategy(
    predictor: TransformerPredictor,
    distributions: Distributions,
    n_points: int,
    *,
    n_prompts: int,
    seed: int,
    memorising: Predictor,
    generalising: Predictor,
    by_position: bool = False,
) -> pd.DataFrame:
    """The place between two strategies, as ``relative_distances`` gives it; parameters are its own."""
    found = relative_distances(
        {0: predictor},
        memorising,
        generalising,
        distributions,
        n_points,
        n_prompts=n_prompts,
        seed=seed,
        by_position=by_position,
    )
    return found.drop(columns="step")


def probes(
    predictor: TransformerPredictor,
    distributions: Distributions,
    n_points: int,
    *,
    n_prompts: int,
    seed: int,
    targets: Sequence[str] = ("moment", "least_squares"),
    positions: Sequence[int] | None = None,
    untrained: bool = False,
) -> pd.DataFrame:
    """R² of probes, as ``inspect.probe`` gives them, by activation and position; parameters are its own."""
    return _of_prompts(
        lambda prompts: probe(predictor, prompts, targets, positions=positions, untrained=untrained),
        distributions,
        n_points,
        n_prompts,
        seed,
    )


def readouts(
    predictor: TransformerPredictor, distributions: Distributions, n_points: int, *, n_prompts: int, seed: int
) -> pd.DataFrame:
    """Read-outs after every block and their distance to algorithms: ``inspect.read_out`` and ``nearest_steps``."""
    return _of_prompts(
        lambda prompts: nearest_steps(read_out(predictor, prompts), prompts), distributions, n_points, n_prompts, seed
    )


def attention(
    predictor: TransformerPredictor, distributions: Distributions, n_points: int, *, n_prompts: int, seed: int
) -> pd.DataFrame:
    """How heads divide their attention: ``inspect.attention_shares``."""
    return _of_prompts(lambda prompts: attention_shares(predictor, prompts), distributions, n_points, n_prompts, seed)


def _of_prompts(
    measured: Callable[..., pd.DataFrame], distributions: Distributions, n_points: int, n_prompts: int, seed: int
) -> pd.DataFrame:
    import pandas as pd

    parts: list[pd.DataFrame] = []
    for name, distribution in distributions.items():
        table = measured(distribution.sample(n_prompts, n_points, seed=seed))
        table.insert(0, "distribution", name)
        parts.append(table)
    return pd.concat(parts, ignore_index=True)


MEASURES: dict[str, Measure] = {
    "error": error,
    "nearest": nearest,
    "strategy": strategy,
    "probes": probes,
    "readouts": readouts,
    "attention": attention,
}
"""All measures by name."""
