"""What the study of sequences asks of its tables."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd

from iclab.foundations import mean_interval, normal_quantile
from iclab.studies.contests import over_seeds
from iclab.studies.folder import questions_of
from iclab.studies.sequences.lines import (
    BIGRAM,
    DAMPED,
    FREQUENCIES,
    NEW,
    POOL,
    POOL_BIGRAM,
    POOL_UNIGRAM,
    UNIFORM,
    UNIGRAM,
)
from iclab.studies.sequences.measure import ATTENTION, MLP
from iclab.studies.sequences.models import TRUTH
from iclab.studies.study import Answer, Number, Tables, Verdict, counted, tally

PHASES = (UNIFORM, UNIGRAM, BIGRAM)


def _ends(tables: Tables) -> pd.DataFrame:
    """Last divergences of every model from the truth and from each strategy."""
    rows = tables["phases"]
    return rows[rows["step"] == rows["step"].max()]


def _nearest(rows: pd.DataFrame) -> pd.Series:
    """The strategy that a model is nearest to at every step where it is by a 95 % interval over prompts, by step."""
    rows = rows[rows["reference"].isin(PHASES)].sort_values(["step", "mean"])
    two = rows.groupby("step", sort=False).head(2).groupby("step")
    gap, reach = two["mean"].agg(np.ptp), normal_quantile() * two["stderr"].agg(np.linalg.norm)
    return two["reference"].first()[gap > reach]


def phases(tables: Tables) -> Answer:
    """Trainings whose nearest strategy is uniform, then unigram, then bigram; undecided while bigram is not reached."""
    met = missed = undecided = 0
    numbers: dict[str, float | Number] = {}
    for (model, seed), rows in tables["phases"].groupby(["model", "training_seed"], sort=False):
        nearest = _nearest(rows)
        first = [nearest.index[nearest == name].min() for name in PHASES]  # NaN where there is none
        ended = nearest.size > 0 and nearest.iloc[-1] == BIGRAM
        holds = first == sorted(first) and not np.isnan(first).any()
        met, missed = met + (holds and ended), missed + (ended and not holds)
        undecided += not ended
        for name, at in zip(PHASES[1:], first[1:], strict=True):
            if not np.isnan(at):
                numbers[f"{model}, seed {seed}: {name} from step"] = float(at)
    return tally(met, missed, undecided, **numbers)


def _above_truth(tables: Tables, predictor: str) -> float:
    """Mean divergence from the true chain of a predictor on the chains that are trained on."""
    lines = tables["lines"]
    lines = lines[lines["n_symbols"] == lines["n_symbols"].max()].set_index("predictor")["mean"]
    return float(lines[predictor] - lines["true chain"])


def floor(tables: Tables) -> Answer:
    """Attention-only models and the least cross-entropy of β·frequency logits."""
    ends = _ends(tables)
    own = ends[(ends["model"] == ATTENTION) & (ends["reference"] == TRUTH)]
    line = _above_truth(tables, FREQUENCIES)
    reach = normal_quantile() * own["stderr"]
    numbers = {
        "mean excess over the true chain": float(own["mean"].mean()),
        f"of {FREQUENCIES}": line,
        f"of {DAMPED}": _above_truth(tables, DAMPED),
        "of bigram": _above_truth(tables, BIGRAM),
    }
    return counted(own["mean"] - reach > line, own["mean"] + reach < line, **numbers)


def above_bayes(tables: Tables) -> Answer:
    """Attention-only models are further from the bigram posterior than models with MLPs, seed by seed."""
    ends = _ends(tables)
    own = ends[ends["reference"] == BIGRAM].pivot_table(
        index="training_seed", columns="model", values=["mean", "stderr"]
    )
    gap = own["mean"][ATTENTION] - own["mean"][MLP]
    reach = normal_quantile() * np.hypot(own["stderr"][ATTENTION], own["stderr"][MLP])
    numbers: dict[str, float | Number] = {
        f"{name}, from bigram": float(own["mean"][name].mean()) for name in (ATTENTION, MLP)
    }
    return counted(gap > reach, gap < -reach, **numbers)


def nearest(tables: Tables, *, family: str, remembers: bool) -> Answer:
    """Whether models of the smallest pool are nearer to a posterior over it, or those of the largest to counts.

    Divergence from the nearest posterior over that from the nearest counts, seeds paired.
    """
    rows = tables["mixtures"]
    rows = rows[(rows["family"] == family) & (rows["tasks"] == NEW) & (rows["reference"] != TRUTH)]
    sizes = rows["n_chains"]
    rows = rows[sizes == (sizes.min() if remembers else sizes.max())]
    wide = rows.pivot_table(index="training_seed", columns="reference", values="mean")
    pool, counts = (
        wide.reindex(columns=list(names)).min(axis=1) for names in ((POOL_UNIGRAM, POOL_BIGRAM), (UNIGRAM, BIGRAM))
    )
    ratio = over_seeds((pool / counts).to_numpy(float))
    numbers: dict[str, float | Number] = {f"from {name}": float(wide[name].mean()) for name in wide}
    nearer, farther = ratio.high < 1, ratio.low > 1
    met, missed = (nearer, farther) if remembers else (farther, nearer)
    return counted([met], [missed], **numbers, **{"pool over counts": ratio})


def bayes_of_pools(tables: Tables) -> Answer:
    """Divergences of models from the true law over those of Bayes for their pool, on their pool, over seeds."""
    rows, lines = tables["mixtures"], tables["pools"]
    keys = ["family", "n_chains"]
    own = rows[(rows["tasks"] == POOL) & (rows["reference"] == TRUTH)].set_index([*keys, "training_seed"])["mean"]
    best = lines[lines["tasks"] == POOL].groupby(keys)["mean"].min().rename("best")
    ratio = own.reset_index().merge(best.reset_index(), on=keys)
    ratio["ratio"] = ratio["mean"] / ratio["best"]
    numbers: dict[str, float | Number] = {}
    for (family, count), each in ratio.groupby(keys):
        low, high = mean_interval(each["ratio"].to_numpy()) if len(each) > 1 else (np.nan, np.nan)
        numbers[f"{family}, n = {count}"] = Number(float(each["ratio"].mean()), float(low), float(high))
    return Answer(Verdict.MEASURED, numbers=numbers)


QUESTIONS = questions_of(
    globals(),
    {
        "mlp": above_bayes,
        "few_chains": partial(nearest, family="chains", remembers=True),
        "many_chains": partial(nearest, family="chains", remembers=False),
        "few_urns": partial(nearest, family="urns", remembers=True),
        "many_urns": partial(nearest, family="urns", remembers=False),
        "pools": bayes_of_pools,
    },
)
