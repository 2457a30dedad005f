"""Depth and nonlinearity: one to six layers of attention against their optimum, and what cures random covariances.

A *context* is N examples with several queries (``contexts``). Deep linear attention is computed from the eigenvalues
of Λ̂ where its weights are scalars (``spectral``), from second moments for any weights (``moments``), softmax attention
token by token (``softmax``); a *form* says which weights are free (``forms``), a *search* is the best of many L-BFGS
runs (``search``), a *model* is what is fitted (``models``). Beside them stand classical learners with constants fitted
on the same contexts (``references``). ``measures`` compares all on fresh prompts, ``limit`` takes N → ∞ exactly,
``remedies`` builds normalisations in, ``words`` concludes.
"""

from iclab.studies.depth.study import NAME, run

__all__ = ["NAME", "run"]
