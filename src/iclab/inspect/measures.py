"""Measures of the field on a trained model: its matrices, its sensitivity to the query, the learner that it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float64
from numpy.typing import ArrayLike

from iclab.evaluation.linear_map import effective_learner
from iclab.foundations import InvalidInputError, PromptInputs, PromptLabels, check_covariance, standard_error
from iclab.inspect.opening import Inspectable, opened, transformer_of
from iclab.models.mixers import Attention, MergedLinearAttention
from iclab.predictors import GradientDescent
from iclab.prompts import Prompts
from iclab.prompts.labels import REAL
from iclab.prompts.linear_algebra import symmetric_root
from iclab.theory import gamma

if TYPE_CHECKING:
    import pandas as pd

# Tokens whose gradients are held at once.
_TOKENS = 1 << 12


def products_and_identity(model: Inspectable) -> pd.DataFrame:
    """How near (W^K)'W^Q and W^P W^V are to a multiple of the identity, by block and head (Trockman and Kolter 2023).

    Merged attention has them as W^KQ and W^PV (§3.2 of the paper, below (3)).

    Parameters
    ----------
    model : str, Path, Transformer or predictor
        As in ``run``; blocks without attention are left out.

    Returns
    -------
    DataFrame
        Columns block, head (missing for the sum over heads), product ("key_query" or "projection_value"), multiple (the
        nearest c = tr M/w), distance (‖M − cI‖/‖M‖, from 0 to 1; a random M has about 1), floor (the least that the
        rank of M allows, √(1 − rank/w)).

    Raises
    ------
    InvalidInputError
        If no block has attention.
    """
    import pandas as pd

    rows = []
    for block, layer in enumerate(transformer_of(model, "products of weight matrices").blocks):
        mixer: Any = layer.mixes  # type: ignore[union-attr]
        if not isinstance(mixer, Attention | MergedLinearAttention):
            continue
        for product, matrices in zip(("key_query", "projection_value"), _products(mixer), strict=True):
            for head, matrix in [*enumerate(matrices), (None, matrices.sum(axis=0))]:
                width, size = len(matrix), np.linalg.norm(matrix)
                multiple = np.trace(matrix) / width
                distance = np.linalg.norm(matrix - multiple * np.eye(width)) / size if size > 0 else np.nan
                rank = np.linalg.matrix_rank(matrix)
                rows.append((block, head, product, multiple, distance, np.sqrt(1 - rank / width)))
    if not rows:
        raise InvalidInputError("a model must have a block with attention for products of its weight matrices.")
    table = pd.DataFrame(rows, columns=["block", "head", "product", "multiple", "distance", "floor"])
    return table.astype({"head": "Int64"})


def _products(mixer: Any) -> tuple[Float64[np.ndarray, "H w w"], Float64[np.ndarray, "H w w"]]:
    """(W^K)'W^Q, scores being k'(·)q, and W^P W^V, by head."""
    with torch.no_grad():
        if isinstance(mixer, MergedLinearAttention):
            return mixer.w_kq.double().cpu().numpy(), mixer.w_pv.double().cpu().numpy()
        width = mixer.out.weight.shape[0]
        q, k, v = mixer.qkv.weight.double().cpu().view(3, mixer.heads, width // mixer.heads, width).numpy()
        p = mixer.out.weight.double().cpu().view(width, mixer.heads, width // mixer.heads).numpy()
        return np.einsum("hcw,hcx->hwx", k, q), np.einsum("whc,hcx->hwx", p, v)


def critical_distance(model: Inspectable, covariance: ArrayLike) -> pd.DataFrame:
    """How near merged linear attention is to the critical points of Ahn et al. (2023, Theorems 3 and 4).

    There W^KQ = diag(aΛ⁻¹, 0) and W^PV = diag(bI, u) in every layer: b = 0 is preconditioned descent, b ≠ 0 is GD++.

    Parameters
    ----------
    model : str, Path, Transformer or predictor
        Of merged attention that reads columns (x, y) as they are.
    covariance : array_like, shape (d, d)
        Λ of the inputs, positive definite.

    Returns
    -------
    DataFrame
        Columns block, head, a_distance (‖M − aI‖/‖M‖ with M = Λ^½ W₁₁^KQ Λ^½ and the nearest a), b_distance (of W₁₁^PV
        to bI, relative to ‖W^PV‖), rest_kq and rest_pv (what lies outside these blocks, relative to the whole matrix).

    Raises
    ------
    InvalidInputError
        If it is no such model, or the covariance of another dimension.
    """
    import pandas as pd

    transformer = transformer_of(model, "distances to critical points")
    architecture = transformer.architecture
    if set(architecture.kinds) != {"merged"} or architecture.read_in != "identity":
        raise InvalidInputError(
            "a model must be of merged attention that reads columns (x, y) as they are for its distance to critical "
            f"points; this one has {', '.join(dict.fromkeys(architecture.kinds))} and read_in {architecture.read_in!r}."
        )
    d = architecture.dimension
    root = symmetric_root(check_covariance(covariance, dimension=d))
    rows = []
    for block, layer in enumerate(transformer.blocks):
        for head, (w_kq, w_pv) in enumerate(zip(*_products(layer.mixes), strict=True)):  # type: ignore[union-attr]
            a = root @ w_kq[:d, :d] @ root
            outside = np.square(w_kq).sum() - np.square(w_kq[:d, :d]).sum()
            b, whole = w_pv[:d, :d], np.linalg.norm(w_pv)
            other = np.square(w_pv).sum() - np.square(b).sum() - np.square(np.diagonal(w_pv)[d:]).sum()
            rows.append(
                (
                    block,
                    head,
                    _from_identity(a) / max(np.linalg.norm(a), np.finfo(float).tiny),
                    _from_identity(b) / max(whole, np.finfo(float).tiny),
                    np.sqrt(max(outside, 0.0)) / max(np.linalg.norm(w_kq), np.finfo(float).tiny),
                    np.sqrt(max(other, 0.0)) / max(whole, np.finfo(float).tiny),
                )
            )
    return pd.DataFrame(rows, columns=["block", "head", "a_distance", "b_distance", "rest_kq", "rest_pv"])


def _from_identity(matrix: np.ndarray) -> float:
    return float(np.linalg.norm(matrix - np.trace(matrix) / len(matrix) * np.eye(len(matrix))))


class Sensitivities:
    """A model with its exact gradients in the queries, so that it is linear to first order.

    Parameters
    ----------
    model : str, Path, Transformer, OwnModule or predictor
        As in ``run``, of labels of one number.
    """

    def __init__(self, model: Inspectable) -> None:
        self._predictor = opened(model)

    def __call__(self, prompts: Prompts) -> PromptLabels:
        """Predictions, shape (B, P)."""
        return self._predictor(prompts)

    def weights(self, prompts: Prompts) -> PromptInputs:
        """∂ŷ_i/∂x_q at every position, shape (B, P, d): one backward pass, as position i has a query of its own.

        Raises
        ------
        InvalidInputError
            If labels are no single numbers.
        """
        if prompts.labels != REAL or not prompts.dimension:
            raise InvalidInputError("prompts must have inputs and labels of one number for a sensitivity to the query.")
        module = self._predictor.model
        parameter = next(module.parameters())
        found = np.empty(prompts.xs.shape)
        size = max(1, _TOKENS // (3 * prompts.n_points))
        training = module.training
        module.eval()
        try:
            for start in range(0, len(prompts), size):
                part = slice(start, start + size)
                xs, ys, queries = (
                    torch.tensor(each[part], dtype=parameter.dtype, device=parameter.device)
                    for each in (prompts.xs, prompts.ys, prompts.queries)
                )
                queries.requires_grad_()
                answers = module(xs, ys, queries)
                answers = answers[..., 0] if answers.ndim == 3 else answers
                [gradient] = torch.autograd.grad(answers.sum(), queries)
                found[part] = gradient.double().cpu().numpy()
        finally:
            module.train(training)
        return found


def compare_with_descent(
    model: Inspectable, prompts: Prompts, *, steps: int = 1, rate: float | None = None
) -> pd.DataFrame:
    """The three measures of von Oswald et al. (2023) between a model and k steps of descent, by position.

    Parameters
    ----------
    model : str, Path, Transformer, OwnModule or predictor
        As in ``run``.
    prompts : Prompts
        B at least 2.
    steps : int
        k.
    rate : float, optional
        Of descent; when omitted, at each position the one whose single step is nearest to the model's predictions
        (k = 1 only).

    Returns
    -------
    DataFrame
        Columns position, rate, measure ("prediction": mean of |ŷ − ŷ_GD|; "cosine": mean cosine of the sensitivities
        ∂ŷ/∂x_q; "model": mean ‖∂ŷ/∂x_q − ∂ŷ_GD/∂x_q‖), mean, stderr, n; without position 0.

    Raises
    ------
    InvalidInputError
        If labels are no single numbers, or no rate is given for more than one step.
    """
    import pandas as pd

    if rate is None and steps != 1:
        raise InvalidInputError(f"rate must be given for {steps} steps; it is found for one alone.")
    predictor = Sensitivities(model)
    own, said = predictor.weights(prompts), predictor(prompts)
    descent = GradientDescent(steps, 1.0 if rate is None else rate)
    other = descent.weights(prompts)
    answers = np.einsum("bpd,bpd->bp", other, prompts.queries)
    rates = np.full(prompts.n_points, np.nan if rate is None else rate)
    if rate is None:
        power = np.square(answers).sum(axis=0)
        rates = np.divide((answers * said).sum(axis=0), power, out=np.zeros(len(power)), where=power > 0)
        other, answers = other * rates[:, None], answers * rates
    sizes = np.linalg.norm(own, axis=2) * np.linalg.norm(other, axis=2)
    cosine = np.divide((own * other).sum(axis=2), sizes, out=np.zeros_like(sizes), where=sizes > 0)
    measures = {
        "prediction": np.abs(said - answers),
        "cosine": cosine,
        "model": np.linalg.norm(own - other, axis=2),
    }
    places = np.arange(1, prompts.n_points)
    tables = [
        pd.DataFrame(
            {
                "position": places,
                "rate": rates[1:],
                "measure": name,
                "mean": values.mean(axis=0)[1:],
                "stderr": np.asarray(standard_error(values))[1:],
                "n": len(prompts),
            }
        )
        for name, values in measures.items()
    ]
    return pd.concat(tables, ignore_index=True)


def learner_and_theory(model: Inspectable, prompts: Prompts, covariance: ArrayLike) -> pd.DataFrame:
    """The learner K of ŷ ≈ x_q'K X'y/i that a model is at each position, beside Γ⁻¹ of that length (Theorem 4).

    Parameters
    ----------
    model : str, Path, Transformer, OwnModule or predictor
        As in ``run``.
    prompts : Prompts
        More than dimensions.
    covariance : array_like, shape (d, d)
        Λ of the inputs, positive definite.

    Returns
    -------
    DataFrame
        Columns position, distance (‖K − Γ⁻¹‖/‖Γ⁻¹‖ with Γ of N = i), explained (share of the variance of the model's
        sensitivities that K explains), n; without position 0 and those whose K is not determined.

    Raises
    ------
    InvalidInputError
        If there are too few prompts, or the covariance is of another dimension.
    """
    import pandas as pd

    matrix = check_covariance(covariance, dimension=prompts.dimension)
    learner = effective_learner(Sensitivities(model), prompts)
    rows = []
    for i in range(1, prompts.n_points):
        if np.isfinite(learner.matrices[i]).all():
            limit = np.linalg.inv(gamma(matrix, i))
            distance = np.linalg.norm(learner.matrices[i] - limit) / np.linalg.norm(limit)
            rows.append((i, distance, learner.explained[i], len(prompts)))
    return pd.DataFrame(rows, columns=["position", "distance", "explained", "n"])
