"""Small transformers on chains, pools of chains and urns: how far each strategy is from what they say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import xlogy

from iclab.models import load
from iclab.predictors import Predictor
from iclab.prompts import MarkovChains, Prompts
from iclab.studies.sequences.lines import law_of, strategies, with_pool
from iclab.studies.trainings import Trained
from iclab.training import Run, TrainingConfig, read_config

# The law itself, beside the strategies.
TRUTH = "truth"


def configuration(prompts: Mapping[str, Any], n_symbols: int, length: int, seed: int, **fields: Any) -> TrainingConfig:
    """A training on sequences of ``length`` symbols and one to predict.

    ``model`` among the fields changes the model of Edelman et al. (2024): two layers of one head, without MLPs.
    """
    model = {
        "max_points": length + 1,
        "dimension": 0,
        "width": 16,
        "layers": 2,
        "heads": 1,
        "head": "classes",
        "outputs": n_symbols,
        "positions": "rotary",
        "mlp": False,
        **fields.pop("model", {}),
    }
    optimizer = {"kind": "adam", "betas": [0.9, 0.999], "clip": None, "learning_rate": fields.pop("rate")}
    data = {"prompts": dict(prompts), "model": model, "optimizer": optimizer, "n_train": length, "seed": seed}
    return read_config({**data, "precision": "float32", **fields})


def divergences(said: np.ndarray, prompts: Prompts, references: Mapping[str, Predictor]) -> pd.DataFrame:
    """Mean KL(reference ‖ model) over prompts and the predictions after the first symbol, in nats.

    Returns
    -------
    DataFrame
        reference ("truth" for the law itself), mean, stderr (over prompts), n.
    """
    assert prompts.probabilities is not None
    laws = {TRUTH: prompts.probabilities, **{name: each(prompts) for name, each in references.items()}}
    rows = []
    for name, law in laws.items():
        each = (xlogy(law, law) - xlogy(law, said)).sum(axis=2)[:, 1:].mean(axis=1)
        rows.append((name, each.mean(), each.std(ddof=1) / np.sqrt(len(each)), len(each)))
    return pd.DataFrame(rows, columns=["reference", "mean", "stderr", "n"])


def phases(model: Trained, n_symbols: int, length: int, n_prompts: int, seed: int) -> pd.DataFrame:
    """Table of ``divergences`` at every step whose weights were kept, on new chains."""
    prompts = MarkovChains(n_symbols).sample(n_prompts, length + 1, seed=seed)
    references = strategies()
    return pd.concat(
        [
            divergences(kept.predictor()(prompts), prompts, references).assign(step=kept.step)
            for kept in Run.open(Path(model.path)).checkpoints()
        ],
        ignore_index=True,
    )


def on_pools(
    model: Trained, n_chains: int, n_symbols: int, order: int, length: int, pool_seed: int, n_prompts: int, seed: int
) -> pd.DataFrame:
    """Table of ``divergences`` of a finished model, with tasks: on chains of its pool and on new ones."""
    predictor = load(model.path)
    pool = law_of("pool", n_chains, n_symbols, order, pool_seed)
    tables = []
    for tasks in ("pool", "new"):
        prompts = law_of(tasks, n_chains, n_symbols, order, pool_seed).sample(n_prompts, length + 1, seed=seed)
        tables.append(divergences(predictor(prompts), prompts, with_pool(pool.chains)).assign(tasks=tasks))
    return pd.concat(tables, ignore_index=True)
