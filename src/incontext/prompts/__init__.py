"""Prompts and where they come from.

A *prompt* is a list of labelled examples with a query at every position. A *prompt distribution* draws
prompts: covariates (law of x) × tasks (law of the function h) × noise. Everything drawn is a pure function
of (seed, stream, step, prompt index).
"""

from incontext.prompts.covariates import Covariates, Gaussian, RandomDiagonal
from incontext.prompts.distribution import PromptDistribution, Prompts
from incontext.prompts.tasks import Linear, Tasks

__all__ = [
    "Covariates",
    "Gaussian",
    "Linear",
    "PromptDistribution",
    "Prompts",
    "RandomDiagonal",
    "Tasks",
]
