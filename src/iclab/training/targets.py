r"""What a prediction is trained towards: the labels, or their posterior mean given the context.

**Rao-Blackwell targets.** Position i's prediction f is a function of the context C = (x_1, y_1, …, x_i, y_i) and
the query x. With m = E[y | C, x],

    E(f − y)² = E(f − m)² + 2 E[(f − m)(m − y)] + E(m − y)²,

and the middle term vanishes, because f − m is a function of (C, x) and E[m − y | C, x] = 0. The last term does
not depend on f. So both losses have the same expected gradient and the same minimiser; the gradient of the
second is the conditional expectation of the first's given (C, x), hence of no larger variance. What is left of
the loss is the excess over the Bayes predictor.

For h(x) = w'x with w ~ N(0, W) and label noise of variance s², m is ridge regression with penalty s² on
W^½x; without noise its limit, minimum-norm least squares. For w uniform on a finite pool it is the average of the
pool weighted by likelihood (dMMSE). None depends on the law of x.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from iclab.foundations import InvalidInputError, PromptLabels
from iclab.predictors import LeastSquares, Ridge, bayes_predictor
from iclab.predictors.exact import require_plain
from iclab.prompts import Covariates, Gaussian, Linear, Outliers, PromptDistribution, Prompts, RandomDiagonal
from iclab.prompts.linear_algebra import symmetric_root
from iclab.training.curriculum import Truncated

Targets = Callable[[Prompts], PromptLabels]
# Examples count as linearly dependent when a diagonal entry of R is this small beside the largest.
_DEPENDENT = 1e-9


def labels(prompts: Prompts) -> PromptLabels:
    """The labels themselves, noise included."""
    return prompts.ys


def posterior_mean(distribution: PromptDistribution) -> Targets:
    """The exact posterior mean of y given the context before it (of classes their law), where it is known.

    It is that of ``bayes_predictor``; without label noise, linear tasks have a faster way to the same numbers.

    Parameters
    ----------
    distribution : PromptDistribution, MarkovChains, …
        Where the prompts come from; its law of x may be anything.

    Raises
    ------
    InvalidInputError
        If no exact Bayes predictor is known for the law, the prompts are shifted, or they have outliers that are not
        whole prompts or not the only noise.
    """
    try:
        return _targets(distribution)
    except InvalidInputError as error:
        reason = str(error).rstrip(".")
        raise InvalidInputError(f"targets 'posterior_mean' must be known, but {reason}; use 'labels'.") from error


def _targets(distribution: PromptDistribution) -> Targets:
    if isinstance(distribution, PromptDistribution) and distribution.outliers is not None:
        return _of_noisy_prompts(distribution, distribution.outliers)
    if isinstance(distribution, PromptDistribution) and isinstance(distribution.tasks, Linear):
        require_plain(distribution)
        return _of_linear(distribution.tasks, distribution)
    return bayes_predictor(distribution)


def _of_noisy_prompts(distribution: PromptDistribution, outliers: Outliers) -> Targets:
    """Of noisy prompts and of the others, each given what it is: E[y | C, x, noisy] is as good a target as E[y | C, x].

    The argument above holds word for word, as f is a function of (C, x) alone.
    """
    if not outliers.whole:
        raise InvalidInputError("outliers must be of whole prompts (whole: true).")
    if distribution.noise:
        raise InvalidInputError(f"noise must be 0 beside noisy prompts; {distribution.noise:g} was given.")
    plain = replace(distribution, outliers=None)
    without, within = _targets(plain), _targets(replace(plain, noise=outliers.scale))

    def means(prompts: Prompts) -> PromptLabels:
        # Without other noise a label is its truth but in a noisy prompt.
        noisy = (prompts.ys != prompts.targets).reshape(len(prompts), -1).any(axis=1)
        values = np.array(without(prompts))
        if noisy.any():
            xs = prompts.xs[noisy]
            values[noisy] = within(Prompts(xs, prompts.ys[noisy], xs, prompts.targets[noisy]))
        return values

    return means


def _of_linear(tasks: Linear, distribution: PromptDistribution) -> Targets:
    """Ridge, or without noise least squares, on inputs in which the weights are isotropic."""
    bayes = Ridge(distribution.noise**2) if distribution.noise else _noise_free(distribution.covariates)
    if tasks.weight_covariance is None:
        return bayes
    root = symmetric_root(tasks.weight_covariance)

    def means(prompts: Prompts) -> PromptLabels:
        xs = prompts.xs @ root
        return bayes(Prompts(xs, prompts.ys, xs, prompts.targets))

    return means


def _noise_free(covariates: Covariates) -> Targets:
    """Minimum-norm least squares; for laws with a density on their span, labels once they are certain.

    That is after as many examples as there are visible dimensions, and before that one factorisation answers all
    positions: with X' = QR for the first examples and R'c = y, the examples before i fit the weights Σ_{j<i} c_j q_j
    and predict Σ_{j<i} R_ji c_j = y_i − R_ii c_i.
    """
    inner = covariates.covariates if isinstance(covariates, Truncated) else covariates
    if not isinstance(inner, (Gaussian, RandomDiagonal)):
        return LeastSquares()

    def means(prompts: Prompts) -> PromptLabels:
        visible = prompts.xs[:1].any(axis=(0, 1))  # a curriculum hides the same coordinates of every prompt
        before = slice(0, max(1, np.count_nonzero(visible)))
        xs, ys = (torch.from_numpy(part[:, before]) for part in (prompts.xs[..., visible], prompts.ys))
        # torch's factorisation takes two thirds of NumPy's time, and it has a solver for triangular systems.
        upper = torch.linalg.qr(xs.mT, mode="r").R if visible.any() else ys.new_zeros(len(prompts), 1, 1)
        diagonal = upper.diagonal(dim1=1, dim2=2)
        smallest, largest = diagonal.abs().aminmax(dim=1)
        if (smallest <= _DEPENDENT * largest).any():
            return LeastSquares()(prompts)
        values = prompts.ys.copy()
        shares = torch.linalg.solve_triangular(upper.mT, ys[..., None], upper=False)[..., 0]
        values[:, before] = (ys - diagonal * shares).numpy()
        return values

    return means
