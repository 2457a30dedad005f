"""In-context learners as scikit-learn regressors.

``fit`` holds the examples as a context and trains nothing; ``predict`` answers all queries from it in one
forward pass of whatever learner stands behind: linear self-attention, ridge, least squares, a trained model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self, cast

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from iclab.evaluation.curves import predictions
from iclab.foundations import InvalidInputError, check_covariance, check_integer, check_real
from iclab.predictors import Predictor, fit_prefixes
from iclab.predictors.limits import limits_of
from iclab.prompts import Gaussian, Prompts
from iclab.targets import resolve
from iclab.theory import optimal_learner

_LINEAR = ("lsa", "ridge", "least_squares")


class InContextRegressor(RegressorMixin, BaseEstimator):
    """Regression by an in-context learner that sees the training data as its prompt.

    Inputs are centred and scaled to variance 1, labels centred and scaled to variance d: the scale of w'x for
    w ~ N(0, I), on which such learners are trained. With ``standardize=False`` they are taken as they are.

    Parameters
    ----------
    model : {"lsa", "ridge", "least_squares"}, name, path, "module:object" or predictor, optional
        The learner. "lsa" is the linear self-attention layer of Theorem 4 for contexts of n examples,
        ŷ = x_q'Γ⁻¹(1/n)Σ y_i x_i, with Γ from ``covariance``; "ridge" is Bayes for w ~ N(0, I) and label
        noise ``noise``; "least_squares" has minimum norm. A path is a run or saved model, and anything else
        maps ``Prompts`` to predictions. "lsa" when omitted.
    noise : float, default 1.0
        Standard deviation of label noise that "lsa" and "ridge" assume, on the scaled labels.
    covariance : array_like, shape (d, d), optional
        Λ of the (scaled) inputs for "lsa"; estimated by X'X/n when omitted.
    standardize : bool, default True
        Whether to centre and scale.
    random_state : int, default 0
        Seed of the order from which contexts are cut where one cannot hold all examples.
    allow_code : bool, default False
        Whether a model given as ``module:object`` may be imported, which runs it.

    Attributes
    ----------
    n_features_in_ : int
        d.
    coef_ : ndarray, shape (d,)
        Slope in the units of the data; for the three named learners only.
    intercept_ : float
        As ``coef_``.

    Notes
    -----
    A trained model of larger dimension gets zeros in the coordinates that the data do not have.

    A trained model reads at most as many examples as it was trained for. Up to so many it gets them in the order
    given, on which the predictions of most models depend a little; shuffle sorted data first. More are put into
    random order and cut into the fewest contexts that hold all, each full, so that neighbours overlap; the
    predictions are averaged.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.model_selection import cross_val_score
    >>> X, y = load_diabetes(return_X_y=True)
    >>> bool(cross_val_score(InContextRegressor("lsa"), X, y, cv=5).mean() > 0.4)
    True
    """

    def __init__(
        self,
        model: str | Path | Predictor | None = None,
        *,
        noise: float = 1.0,
        covariance: ArrayLike | None = None,
        standardize: bool = True,
        random_state: int = 0,
        allow_code: bool = False,
    ) -> None:
        self.model = model
        self.noise = noise
        self.covariance = covariance
        self.standardize = standardize
        self.random_state = random_state
        self.allow_code = allow_code

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Hold the examples as context.

        Parameters
        ----------
        X : array_like, shape (n, d)
            Inputs.
        y : array_like, shape (n,)
            Labels.

        Raises
        ------
        InvalidInputError
            If a parameter is out of range, the model unknown, its dimension below d, or the data too large to be
            scaled in double precision.
        """
        checked: Any = validate_data(self, cast(Any, X), cast(Any, y), y_numeric=True, dtype=np.float64)
        inputs, labels = checked[0], np.asarray(checked[1], dtype=np.float64)
        noise = check_real(self.noise, "noise", minimum=0.0)
        check_integer(self.random_state, "random_state", minimum=0)
        dimension = inputs.shape[1]
        for fitted in ("coef_", "intercept_"):  # of an earlier fit by another learner
            self.__dict__.pop(fitted, None)
        with np.errstate(over="ignore", invalid="ignore"):
            if self.standardize:
                self.input_mean_, self.input_scale_ = inputs.mean(axis=0), _scales(inputs)
                self.label_mean_ = float(labels.mean())
                self.label_scale_ = float(_scales(labels) / np.sqrt(dimension))
            else:
                self.input_mean_, self.input_scale_ = np.zeros(dimension), np.ones(dimension)
                self.label_mean_, self.label_scale_ = 0.0, 1.0
            self._xs = (inputs - self.input_mean_) / self.input_scale_
            self._ys = (labels - self.label_mean_) / self.label_scale_
        if not (np.isfinite(self._xs).all() and np.isfinite(self._ys).all()):
            raise InvalidInputError(
                "X and y must be small enough for means and standard deviations in double precision; the largest "
                f"numbers given are {np.abs(inputs).max():.3g} and {np.abs(labels).max():.3g}: change their units."
            )
        self._predictor = None
        model = "lsa" if self.model is None else self.model
        if isinstance(model, str) and model in _LINEAR:
            weights = self._weights(model, noise)
            self.coef_ = self.label_scale_ * weights / self.input_scale_
            self.intercept_ = self.label_mean_ - float(self.input_mean_ @ self.coef_)
        else:
            self._predictor = cast(Predictor, resolve(model, _LINEAR, allow_code=self.allow_code))
            size = limits_of(self._predictor).dimension
            if size is not None and dimension > size:
                raise InvalidInputError(
                    f"X must have at most the model's {size} features; it has {dimension}: reduce them first, for "
                    "example by PCA in a pipeline."
                )
        return self

    def predict(self, X: ArrayLike) -> Float64[np.ndarray, " m"]:
        """Predict the labels of queries ``X``, shape (m, d); returns shape (m,).

        Raises
        ------
        InvalidInputError
            If a prediction is not finite, or the predictor does not return one per prompt and position.
        """
        check_is_fitted(self)
        queries = np.asarray(validate_data(self, cast(Any, X), reset=False, dtype=np.float64))
        with np.errstate(over="ignore", invalid="ignore"):
            if self._predictor is None:
                predicted = queries @ self.coef_ + self.intercept_
            else:
                scaled = self._answers((queries - self.input_mean_) / self.input_scale_)
                predicted = self.label_mean_ + self.label_scale_ * scaled
        if not np.isfinite(predicted).all():
            raise InvalidInputError(
                "X and y must be small enough for predictions in double precision; infinity or NaN came out: change "
                "their units."
            )
        return predicted

    def _weights(self, model: str, noise: float) -> Float64[np.ndarray, " d"]:
        """The learner's w on the scaled context."""
        count, dimension = self._xs.shape
        if model == "lsa":
            given = self._xs.T @ self._xs / count if self.covariance is None else self.covariance
            covariance = check_covariance(given, dimension=dimension)
            return optimal_learner(Gaussian(covariance), count, noise**2) @ (self._xs.T @ self._ys) / count
        # One position more than examples: the weights there have seen them all.
        xs = np.concatenate([self._xs, np.zeros((1, dimension))])[None]
        ys = np.append(self._ys, 0.0)[None]
        return fit_prefixes(xs, ys, noise**2 if model == "ridge" else 0.0).weights[0, -1]

    def _answers(self, queries: Float64[np.ndarray, "m d"]) -> Float64[np.ndarray, " m"]:
        """What the predictor says to scaled queries, averaged over the contexts it can take."""
        predictor = cast(Predictor, self._predictor)
        limits = limits_of(predictor)
        size, longest = limits.dimension, limits.examples
        count, dimension = self._xs.shape
        padded = dimension if size is None else size
        total = np.zeros(len(queries))
        contexts = _contexts(count, count if longest is None else longest, self.random_state)
        for part in contexts:
            shape = (len(queries), len(part) + 1, padded)
            xs, asked = np.zeros(shape), np.zeros(shape)
            xs[:, :-1, :dimension] = self._xs[part]
            asked[:, :, :dimension] = xs[:, :, :dimension]
            asked[:, -1, :dimension] = queries
            ys = np.broadcast_to(np.append(self._ys[part], 0.0), shape[:2])
            # The query stands where its example would: unshifted prompts, one forward pass.
            total += predictions(predictor, "model", Prompts(asked, ys, asked, ys))[:, -1]
        return total / len(contexts)


def _contexts(count: int, longest: int, seed: int) -> list[Int64[np.ndarray, " n"]]:
    """The rows of each context: all in the order given if one can hold them, else evenly spaced runs of a shuffle."""
    if count <= longest:
        return [np.arange(count)]
    shuffled = np.random.default_rng(seed).permutation(count)
    starts = np.linspace(0, count - longest, -(-count // longest)).round().astype(int)
    return [shuffled[start : start + longest] for start in starts]


def _scales(values: Any) -> Any:
    """Standard deviations along the first axis, with 1 for what is constant up to the rounding of its mean."""
    # Of the largest and smallest doubles the squares would be infinite and 0; a power of two rounds nothing.
    unit = np.ldexp(1.0, np.frexp(np.abs(values).max(axis=0))[1] - 1)
    deviation = (values / unit).std(axis=0)
    rounding = 10 * len(values) * np.finfo(np.float64).eps
    return np.where(deviation > rounding, deviation * unit, 1.0)
