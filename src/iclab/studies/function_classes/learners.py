"""Which algorithm is it? Trained models and their read-outs beside known learners, and models beside one another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from iclab.inspect import nearest_steps, read_out
from iclab.models import load
from iclab.studies.contests import reference
from iclab.studies.trainings import Trained

READOUTS = ("training_seed", "block", "read", "algorithm", "distance", "stderr", "n")
APART = ("against", "training_seed", "distance")


def readouts(models: Mapping[str, Trained], beside: Sequence[str], n_prompts: int, seed: int) -> pd.DataFrame:
    """Read-outs after every block, and the answers of models that differ in their training seed, beside learners.

    All are asked after N examples of the models' own law; a linear read-out is learned on other prompts.

    Returns
    -------
    DataFrame
        training_seed, block (how many have passed; the answer is the last plus one), read ("block" or "answer"),
        algorithm, distance (mean squared difference over the mean squared target), stderr (over prompts), n.
    """
    config = next(iter(models.values())).config
    law, last = config.prompts.build(), config.n_train
    prompts = law.sample(n_prompts, last + 1, seed=seed)
    families = {name: {float("nan"): reference(name, law, config)} for name in beside}
    said = []
    for model in models.values():
        predictor = load(model.path)
        said.append(np.concatenate([read_out(predictor, prompts), predictor(prompts)[None]]))
    # All at once, so that learners are asked once.
    table = nearest_steps(np.concatenate(said), prompts, families, positions=[last])
    reads = len(said[0])
    which, block = np.divmod(table["block"], reads)
    seeds = np.array([int(name) for name in models])
    table = table.assign(training_seed=seeds[which], block=block, read=np.where(block == reads - 1, "answer", "block"))
    return table[[*READOUTS]]


def apart(own: str, models: Mapping[str, Mapping[str, Trained]], n_prompts: int, seed: int) -> pd.DataFrame:
    """How far models lie from one another after N examples of the law of one class, seed by seed.

    Parameters
    ----------
    own : str
        That class.
    models : mapping
        Class to its models by training seed; those of ``own`` are compared with its other seeds.
    n_prompts, seed : int
        Of the prompts.

    Returns
    -------
    DataFrame
        against (class), training_seed, distance: the mean squared difference of predictions over the mean squared
        target, mean over the models of that class with another seed.
    """
    config = next(iter(models[own].values())).config
    prompts = config.prompts.build().sample(n_prompts, config.n_train + 1, seed=seed)
    power = float(np.square(prompts.targets[:, -1]).mean())
    answers = {
        name: {s: load(model.path)(prompts)[:, -1] for s, model in theirs.items()} for name, theirs in models.items()
    }
    rows = [
        (name, int(s), np.mean([np.square(each - other).mean() for t, other in theirs.items() if t != s]) / power)
        for name, theirs in answers.items()
        for s, each in answers[own].items()
        if len(theirs) > 1
    ]
    return pd.DataFrame(rows, columns=list(APART))
