"""iclab: the laboratory for in-context learning of function classes by transformers.

The subpackages, bottom up: ``prompts`` draws problems; ``theory`` and ``flow`` hold the closed forms and the
gradient flow of *Trained Transformers Learn Linear Models In-Context* (Zhang, Frei, Bartlett, JMLR 2024);
``predictors`` are the classical in-context learners; ``evaluation`` judges any of them; ``models`` and
``training`` (which need torch) are the transformers, and ``inspect`` looks inside them; ``studies`` and ``report``
reproduce the paper. Everything is imported on first use.
"""

from importlib.metadata import version

import lazy_loader

__version__ = version("iclab")

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "estimators",
        "evaluation",
        "flow",
        "inspect",
        "models",
        "predictors",
        "prompts",
        "studies",
        "theory",
        "training",
    ],
)
