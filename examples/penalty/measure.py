"""Which penalty makes ridge regression best, by the noise of the labels."""

from dataclasses import dataclass

import pandas as pd

from iclab.evaluation import compare, differences
from iclab.predictors import Ridge
from iclab.prompts import Gaussian, Linear, PromptDistribution
from iclab.studies.store import Unit

TITLE = "The penalty of ridge regression"


@dataclass(frozen=True)
class Settings:
    """Noises are standard deviations; weights are N(0, I), inputs N(0, I)."""

    dimension: int = 5
    examples: int = 10
    noises: tuple[float, ...] = (0.5, 1.0, 2.0)
    penalties: tuple[float, ...] = (0.0625, 0.25, 1.0, 4.0, 16.0)
    n_prompts: int = 4000
    seed: int = 0


def measure(settings, lab):
    """One unit per noise."""
    sizes = {
        "dimension": settings.dimension,
        "examples": settings.examples,
        "n_prompts": settings.n_prompts,
        "seed": settings.seed,
    }
    units = [
        Unit(judge, {"noise": noise, "penalties": settings.penalties, **sizes}, f"noise {noise:g}")
        for noise in settings.noises
    ]
    return {"errors": pd.concat(lab.tables(units), ignore_index=True)}


def judge(noise, penalties, dimension, examples, n_prompts, seed):
    """Error of every penalty, and its excess over Bayes' with a 95 % interval; the prompts are the same for all."""
    distribution = {"noisy": PromptDistribution(Gaussian.isotropic(dimension), Linear(), noise)}
    predictors = {f"{penalty:g}": Ridge(penalty) for penalty in penalties} | {"Bayes": Ridge.bayes(noise)}
    sizes = {"n_points": examples + 1, "n_prompts": n_prompts, "seed": seed}
    errors = compare(predictors, distribution, **sizes)
    excess = differences(predictors, distribution, baseline="Bayes", **sizes)
    errors, excess = (
        table[table["position"] == examples].set_index("predictor").drop(index="Bayes", errors="ignore")
        for table in (errors, excess)
    )
    return pd.DataFrame(
        {
            "noise": noise,
            "penalty": list(penalties),
            "mean": errors["mean"].to_numpy(),
            "stderr": errors["stderr"].to_numpy(),
            "excess": excess["mean"].to_numpy(),
            "excess_low": excess["lower"].to_numpy(),
            "excess_high": excess["upper"].to_numpy(),
        }
    )
