"""Where attention goes: mean patterns, shares by what a token is to the one that attends, scores of induction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float64

from iclab.foundations import InvalidInputError, standard_error
from iclab.inspect.activations import run
from iclab.inspect.cache import Cache
from iclab.inspect.opening import Inspectable
from iclab.prompts import Prompts

if TYPE_CHECKING:
    import pandas as pd


def mean_patterns(model: Inspectable, prompts: Prompts) -> dict[int, Float64[np.ndarray, "H T T"]]:
    """The attention pattern of every head, averaged over prompts: block to an array (head, token, seen).

    Parameters
    ----------
    model : str, Path, Transformer or predictor
        As in ``run``; blocks without attention are left out.
    prompts : Prompts
        To average over.

    Raises
    ------
    InvalidInputError
        If no block has attention.

    Examples
    --------
    >>> from iclab.inspect import mean_patterns
    >>> from iclab.models import Architecture, Transformer
    >>> from iclab.prompts import Gaussian, Linear, PromptDistribution
    >>> prompts = PromptDistribution(Gaussian.isotropic(3), Linear()).sample(8, 5, seed=0)
    >>> model = Transformer(Architecture.gpt2(3, 3, 5))
    >>> {block: pattern.shape for block, pattern in mean_patterns(model, prompts).items()}
    {0: (2, 9, 9), 1: (2, 9, 9), 2: (2, 9, 9)}
    """
    return {
        block: pattern.mean(axis=0, dtype=np.float64) for block, pattern in _patterns(_cache(model, prompts)).items()
    }


def attention_shares(model: Inspectable, prompts: Prompts) -> pd.DataFrame:
    """How every head divides its attention, by the role of the token that attends.

    Of linear attention, whose weights may be negative and need not add up to 1, their sizes count.

    Parameters
    ----------
    model, prompts
        As in ``mean_patterns``.

    Returns
    -------
    DataFrame
        Columns block, head, role (of the token that attends), to ("self"; "own_example", the other token of the same
        example; "same_role", other tokens of its role; "other"), share (mean over tokens and prompts; the four add up
        to 1), stderr (over prompts), uniform (what attention to all that is seen alike would give), n.

    Raises
    ------
    InvalidInputError
        If no block has attention.
    """
    cache = _cache(model, prompts)
    tokens = cache.tokens
    roles, examples = tokens["role"].to_numpy(), tokens["example"].to_numpy()
    itself = np.eye(len(tokens), dtype=bool)
    example = (examples[:, None] == examples[None, :]) & ~itself & (roles[:, None] != roles[None, :])
    role = (roles[:, None] == roles[None, :]) & ~itself
    kinds = {"self": itself, "own_example": example, "same_role": role, "other": ~(itself | example | role)}
    return _table(cache, kinds, {name: roles == name for name in dict.fromkeys(roles)})


def induction_scores(model: Inspectable, prompts: Prompts) -> pd.DataFrame:
    """How far every head attends as induction needs it, on sequences of symbols.

    The symbol of a token is its label. A head of the first kind lets a token know what came before it, one of the
    second finds what followed earlier occurrences of a symbol (Olsson et al. 2022).

    Parameters
    ----------
    model : str, Path, Transformer or predictor
        Of sequences of classes without inputs.
    prompts : Prompts
        Such sequences.

    Returns
    -------
    DataFrame
        Columns block, head, score ("prefix": attention to the token before; "duplicate": to earlier tokens of the same
        symbol; "induction": to tokens that follow an earlier one of the same symbol), share, stderr, uniform, n as in
        ``attention_shares``. Only tokens that have such others count.

    Raises
    ------
    InvalidInputError
        If prompts are no sequences of classes, or no block has attention.
    """
    if prompts.n_classes is None or prompts.dimension:
        raise InvalidInputError("prompts must be sequences of symbols without inputs for scores of induction.")
    cache = _cache(model, prompts)
    labels = np.concatenate([np.full((len(prompts), 1), -1), prompts.ys[:, :-1]], axis=1)  # of token t
    steps = np.arange(labels.shape[1])
    real = (labels >= 0)[:, :, None] & (labels >= 0)[:, None, :]
    earlier = steps[:, None] > steps[None, :]
    same = (labels[:, :, None] == labels[:, None, :]) & real
    after = np.zeros_like(same)
    after[:, :, 1:] = same[:, :, :-1]  # token s follows token s − 1
    before = np.broadcast_to((steps[:, None] == steps[None, :] + 1) & (steps[None, :] > 0), same.shape)
    kinds = {"prefix": before, "duplicate": same & earlier, "induction": after & (steps[:, None] >= steps[None, :])}
    found = _table(cache, kinds, {"label": steps > 0}, among=True)
    return found.drop(columns="role").rename(columns={"to": "score"})


def _table(
    cache: Cache,
    kinds: Mapping[str, Bool[np.ndarray, "*B T T"]],
    rows: Mapping[str, Bool[np.ndarray, " T"]],
    among: bool = False,
) -> pd.DataFrame:
    """Shares of attention by head, by which tokens attend, and to which; ``among``: only where there are such."""
    import pandas as pd

    records = []
    for block, pattern in _patterns(cache).items():
        weights = np.abs(pattern.astype(np.float64))
        sums = weights.sum(axis=-1, keepdims=True)
        weights = np.divide(weights, sums, out=np.zeros_like(weights), where=sums > 0)
        seen = _visible(cache)
        for role, chosen in rows.items():
            for to, kind in kinds.items():
                wanted = np.broadcast_to(kind, (len(weights), *kind.shape[-2:]))[:, chosen] & seen[chosen]
                counts = (wanted.sum(axis=-1) > 0) | np.bool_(not among)
                total = counts.sum(axis=1)
                if not total.all():
                    continue
                share = (weights[:, :, chosen] * wanted[:, None]).sum(axis=-1)  # (B, H, t)
                by_prompt = (share * counts[:, None]).sum(axis=-1) / total[:, None]
                alike = float(((wanted.sum(axis=-1) / seen[chosen].sum(axis=-1) * counts).sum(axis=1) / total).mean())
                mean = by_prompt.mean(axis=0)
                error = np.full(len(mean), np.nan) if len(by_prompt) == 1 else np.asarray(standard_error(by_prompt))
                records += [
                    (block, head, role, to, mean[head], error[head], alike, len(weights)) for head in range(len(mean))
                ]
    return pd.DataFrame(records, columns=["block", "head", "role", "to", "share", "stderr", "uniform", "n"])


def _visible(cache: Cache) -> Bool[np.ndarray, "T T"]:
    """Whether a token sees another: those before it, and itself; queries are seen by themselves alone."""
    tokens = cache.tokens
    query = (tokens["role"] == "query").to_numpy()
    order = tokens["token"].to_numpy()
    seen = (order[:, None] >= order[None, :]) & ~query[None, :]
    examples = tokens["example"].to_numpy()
    labelled = ~query[None, :] & (examples[None, :] < examples[:, None])
    seen[query] = labelled[query]
    return seen | np.eye(len(tokens), dtype=bool)


def _patterns(cache: Cache) -> dict[int, np.ndarray]:
    return {int(name.split(".")[1]): cache[name] for name in cache}


def _cache(model: Inspectable, prompts: Prompts) -> Cache:
    _, cache = run(model, prompts, "*attention.pattern")
    return cache
