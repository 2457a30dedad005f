"""What interventions do to the error: paired, by position, with standard errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64

from iclab.evaluation.curves import predictions
from iclab.evaluation.scores import score_for
from iclab.foundations import standard_error
from iclab.inspect.activations import activations, names_of
from iclab.inspect.interventions import Replacement, activations_of, replaced, sources
from iclab.inspect.opening import Inspectable, opened
from iclab.predictors import Predictor
from iclab.prompts import Prompts

if TYPE_CHECKING:
    import pandas as pd


def effect(model: Inspectable, changed: Predictor, prompts: Prompts, *, score: str | None = None) -> pd.DataFrame:
    """What an intervention does to the error, by position, on the same prompts.

    For prompts beyond memory see ``iclab.evaluation.differences``, which takes ``changed`` too.

    Parameters
    ----------
    model : str, Path, Transformer, OwnModule or predictor
        As it is.
    changed : predictor
        The same with an intervention.
    prompts : Prompts
        B at least 2, of P positions.
    score : str, optional
        As in ``iclab.evaluation.error_curve``.

    Returns
    -------
    DataFrame
        Columns position, before and after (mean scores), difference and its stderr over prompts, n.

    Raises
    ------
    InvalidInputError
        If there are fewer than two prompts, or a prediction is not finite.

    Examples
    --------
    >>> from iclab.inspect import ablate, effect
    >>> from iclab.models import Architecture, Transformer
    >>> from iclab.prompts import Gaussian, Linear, PromptDistribution
    >>> prompts = PromptDistribution(Gaussian.isotropic(3), Linear()).sample(8, 5, seed=0)
    >>> model = Transformer(Architecture.gpt2(3, 3, 5))
    >>> changed = ablate(model, "blocks.0.attention.mixed")
    >>> effect(model, changed, prompts).columns.tolist()
    ['position', 'before', 'after', 'difference', 'stderr', 'n']
    """
    return _paired(_scores(opened(model), prompts, score), _scores(changed, prompts, score))


def _scores(model: Predictor, prompts: Prompts, score: str | None = None) -> Float64[np.ndarray, "B P"]:
    return score_for(prompts.labels, score).of(predictions(model, "the model", prompts), prompts)


def _paired(before: Float64[np.ndarray, "B P"], after: Float64[np.ndarray, "B P"]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(
        {
            "position": np.arange(before.shape[1]),
            "before": before.mean(axis=0),
            "after": after.mean(axis=0),
            "difference": (after - before).mean(axis=0),
            "stderr": standard_error(after - before),
            "n": len(before),
        }
    )


def importance(
    model: Inspectable,
    prompts: Prompts,
    *,
    how: Replacement = "mean",
    over: Prompts | None = None,
    seed: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> pd.DataFrame:
    """The effect of every head and every MLP, ablated one at a time; of modules of one's own, of every submodule.

    Parameters
    ----------
    model : str, Path, Transformer, OwnModule or predictor
        As in ``run``.
    prompts : Prompts
        To judge on.
    how, over, seed
        As in ``ablate``.
    progress : callable, optional
        Called with (what is done, done, in all).

    Returns
    -------
    DataFrame
        Columns block, part ("attention", "mixer" or "mlp"; block −1 and the activation of a module of one's own), head
        (missing for an MLP, and where there are none), and those of ``effect``.

    Raises
    ------
    InvalidInputError
        If it is no model, or as in ``ablate``.
    """
    import pandas as pd

    predictor = opened(model)
    known, parts = names_of(predictor), list[tuple[str, int | None]]()
    if known is None:
        found = activations(predictor, prompts)["name"]
        parts = [(str(name), None) for name in found if name.endswith(".out")]
    else:
        for name, (_, shape, _) in known.items():
            part, _, last = name.rpartition(".")
            if last in ("mixed", "read"):
                parts += [(part, head) for head in range(shape[1])]
            elif last == "out" and f"{part}.mixed" not in known and f"{part}.read" not in known:
                parts.append((part, None))
    wanted = dict.fromkeys(name for part, head in parts for name in activations_of(predictor, part, head))
    values = sources(predictor, list(wanted), how, over)
    before, tables = _scores(predictor, prompts), []
    for i, (part, head) in enumerate(parts):
        names = activations_of(predictor, part, head)
        table = _paired(before, _scores(replaced(predictor, names, head, how, values, seed), prompts))
        block, kind = (-1, part) if known is None else part.split(".")[1:]
        heads = pd.array([head] * len(table), dtype="Int64")
        where = pd.DataFrame({"block": int(block), "part": kind, "head": heads})
        tables.append(pd.concat([where, table], axis=1))
        if progress is not None:
            progress("ablations", i + 1, len(parts))
    return pd.concat(tables, ignore_index=True)
