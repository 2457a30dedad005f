"""Deep attention on a sample of prompts: the empirical risk of any merged weights, its gradient, the best of many fits.

``MomentRisk`` takes linear attention from second moments, ``SpectralRisk`` the scalar form of GD++ from eigenvalues,
``TokenRisk`` softmax attention token by token; all give one number and the derivatives by all weights. A *form* says
which weights are free, ``search`` descends from many starts. Contexts hold several queries each, which no other token
attends to. Not in the paper, but for one and two layers.
"""

from iclab.flow.deep.contexts import Contexts
from iclab.flow.deep.forms import DESCENT, FULL, GD_PLUS, INVARIANT, Form, form
from iclab.flow.deep.moments import MomentRisk, Weights, last_rows
from iclab.flow.deep.search import Objective, Run, best, search
from iclab.flow.deep.spectral import SpectralRisk, gain, gain_gradient
from iclab.flow.deep.tokens import TokenRisk

__all__ = [
    "DESCENT",
    "FULL",
    "GD_PLUS",
    "INVARIANT",
    "Contexts",
    "Form",
    "MomentRisk",
    "Objective",
    "Run",
    "SpectralRisk",
    "TokenRisk",
    "Weights",
    "best",
    "form",
    "gain",
    "gain_gradient",
    "last_rows",
    "search",
]
