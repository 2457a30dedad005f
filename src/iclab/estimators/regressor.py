"""Regression by in-context learners, as a scikit-learn regressor."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self, cast

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from iclab.estimators.linear import LINEAR, fit_linear
from iclab.estimators.preparation import (
    batches,
    checked_data,
    checked_weights,
    contexts_of,
    divided,
    fitting_limits,
    generator,
    moments,
    padded,
)
from iclab.evaluation.contexts import answers
from iclab.evaluation.curves import predictions
from iclab.foundations import InvalidInputError, check_real
from iclab.predictors import Predictor
from iclab.prompts import Prompts
from iclab.prompts.labels import labels_of
from iclab.targets import resolve

__all__ = ["InContextRegressor"]

# Of means and skewnesses of scaled labels.
_ROUNDING = 1e-9


class InContextRegressor(RegressorMixin, BaseEstimator):
    """Regression by an in-context learner that sees the training data as its prompt.

    Inputs are centred and scaled to variance 1, labels centred and scaled to variance d: the scale of w'x for
    w ~ N(0, I), on which such learners are trained. With ``standardize=False`` they are taken as they are. Where the
    labels, or all inputs, do not vary, the prediction is the mean label.

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
    random_state : int, RandomState, Generator or None, default 0
        Seed of the order from which contexts are cut where one cannot hold all examples; None takes another each time.
    device : str, default "cpu"
        Where a trained model that is given by name or path computes: "cpu", "cuda", "auto".
    allow_code : bool, default False
        Whether a model given as ``module:object`` may be imported, which runs it.

    Attributes
    ----------
    n_features_in_ : int
        d.
    coef_ : ndarray, shape (d,) or (k, d)
        Slope in the units of the data; for the three named learners only.
    intercept_ : float or ndarray, shape (k,)
        As ``coef_``.

    Notes
    -----
    Scaling y by any number scales the predictions by it: a learner that is no odd function of the labels is shown those
    of a target with a negative mean with the other sign, unless ``standardize=False``.

    A trained model of larger dimension gets zeros in the coordinates that the data do not have. Several targets, ``y``
    of shape (n, k), are learned one by one from the same contexts.

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
        random_state: Any = 0,
        device: str = "cpu",
        allow_code: bool = False,
    ) -> None:
        self.model = model
        self.noise = noise
        self.covariance = covariance
        self.standardize = standardize
        self.random_state = random_state
        self.device = device
        self.allow_code = allow_code

    def __sklearn_tags__(self) -> Any:
        """Several targets are learned one by one."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Store the examples as context.

        Parameters
        ----------
        X : array_like, shape (n, d)
            Inputs.
        y : array_like, shape (n,) or (n, k)
            Labels.
        sample_weight : array_like, shape (n,), optional
            How often an example counts. Other learners than the three named ones read it that often, and take whole
            numbers.

        Raises
        ------
        InvalidInputError
            If a parameter is out of range, the model unknown, its dimension below d, or the data too large to be
            scaled in double precision.
        """
        inputs, labels, weights = self._checked(X, y, sample_weight)
        noise = check_real(self.noise, "noise", minimum=0.0)
        generator(self.random_state)
        for fitted in ("coef_", "intercept_"):  # of an earlier fit by another learner
            self.__dict__.pop(fitted, None)
        self._scale(inputs, labels, weights)
        model = "lsa" if self.model is None else self.model
        self._predictor: Predictor | None = None
        if isinstance(model, str) and model in LINEAR:
            self._fit = fit_linear(model, self._xs, self._targets, noise, self.covariance, weights)
            coefficients = divided(self._units[:, None] * self._fit.weights, self.input_scale_)
            intercepts = self._means - coefficients @ self.input_mean_
            self.coef_ = coefficients if self._several else coefficients[0]
            self.intercept_ = intercepts if self._several else float(intercepts[0])
            return self
        self._predictor = cast(Predictor, resolve(model, LINEAR, device=self.device, allow_code=self.allow_code))
        stated = getattr(self._predictor, "architecture", self._predictor)
        if hasattr(stated, "labels") and labels_of(stated).n_classes is not None:
            raise InvalidInputError(
                "model must be a learner of numbers; this one's labels are classes: take InContextClassifier, or train "
                "one with model.head 'mean'."
            )
        self._limits = fitting_limits(self._predictor, inputs)
        self._contexts = contexts_of(len(inputs), self._limits, weights, self.random_state)
        return self

    def predict(self, X: ArrayLike, return_std: bool = False) -> Any:
        """Predict the labels of queries.

        Parameters
        ----------
        X : array_like, shape (m, d)
            Queries.
        return_std : bool
            Whether to return the standard deviation of the label at each query too. For "ridge" and "lsa" it is exact
            under their model (w ~ N(0, I) and noise ``noise`` on the scaled data, given the inputs); for
            "least_squares" the classical one with the residual variance; for others the root of the mean square of the
            predictions' errors over the second half of the contexts, and of their spread between contexts.

        Returns
        -------
        ndarray, shape (m,) or (m, k)
            The predictions, or a tuple of them and their standard deviations.

        Raises
        ------
        InvalidInputError
            If a prediction is not finite, or the predictor does not return one per prompt and position.
        """
        check_is_fitted(self)
        queries = np.asarray(checked_data(self, X, reset=False))
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = divided(queries - self.input_mean_, self.input_scale_)
            if self._predictor is None:
                coefficients = np.atleast_2d(self.coef_)
                predicted = queries @ coefficients.T + np.atleast_1d(self.intercept_)
                deviation = self._fit.deviations(scaled) * self._units if return_std else None
            else:
                mean, spread = self._answers(padded(scaled, self._limits))
                predicted = self._means + self._units * mean
                deviation = self._units * np.sqrt(self._squared_error() + spread) if return_std else None
        for found in (predicted, deviation):
            if found is not None and not np.isfinite(found).all():
                raise InvalidInputError(
                    "X and y must be small enough for predictions in double precision; infinity or NaN came out: "
                    "change their units."
                )
        if not self._several:
            predicted, deviation = predicted[:, 0], None if deviation is None else deviation[:, 0]
        return predicted if deviation is None else (predicted, deviation)

    def _checked(self, X: Any, y: Any, sample_weight: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """X of shape (n, d), y of shape (k, n) and weights, in float64."""
        checked = checked_data(self, X, y, y_numeric=True, multi_output=True)
        inputs, labels = checked[0], np.asarray(checked[1], dtype=np.float64)
        self._several = labels.ndim == 2
        labels = labels.T if self._several else labels[None]
        return inputs, labels, checked_weights(sample_weight, inputs)

    def _scale(self, inputs: np.ndarray, labels: np.ndarray, weights: np.ndarray | None) -> None:
        dimension = inputs.shape[1]
        with np.errstate(over="ignore", invalid="ignore"):
            if self.standardize:
                self.input_mean_, self.input_scale_ = moments(inputs, weights)
                self._means, spread = moments(labels.T, weights)
                self._units = spread / np.sqrt(dimension)
            else:
                self.input_mean_, self.input_scale_ = np.zeros(dimension), np.ones(dimension)
                self._means, self._units = np.zeros(len(labels)), np.ones(len(labels))
            self._targets = divided((labels - self._means[:, None]).T, self._units).T
            if not self.input_scale_.any():
                self._units = np.zeros(len(labels))  # nothing to learn from: the mean
            self._xs = divided(inputs - self.input_mean_, self.input_scale_)
        # A trained model is no odd function of the labels: of y and −y it is shown the same.
        own = _signs(self._means, self._units, self._targets, weights)
        self._signs = own if self.standardize else np.ones(len(labels))
        # As users know them: numbers where there is one target.
        self.label_mean_, self.label_scale_, self._ys = (
            each if self._several else each[0] for each in (self._means, self._units, self._targets)
        )
        if not (np.isfinite(self._xs).all() and np.isfinite(self._targets).all()):
            raise InvalidInputError(
                "X and y must be small enough for means and standard deviations in double precision; the largest "
                f"numbers given are {np.abs(inputs).max():.3g} and {np.abs(labels).max():.3g}: change their units."
            )

    def _prompts(self) -> tuple[Float64[np.ndarray, "B n D"], Float64[np.ndarray, "B n"]]:
        """Every context for every target, those of a target together, their labels times the target's sign."""
        xs = padded(np.stack([self._xs[part] for part in self._contexts]), self._limits)
        targets = self._targets * self._signs[:, None]
        ys = np.concatenate([[labels[part] for part in self._contexts] for labels in targets])
        return np.tile(xs, (len(self._targets), 1, 1)), ys

    def _answers(
        self, queries: Float64[np.ndarray, "m D"]
    ) -> tuple[Float64[np.ndarray, "m k"], Float64[np.ndarray, "m k"]]:
        """Mean and variance over contexts of what the predictor says to scaled queries."""
        predictor, (xs, ys) = cast(Predictor, self._predictor), self._prompts()
        shape = (len(self._targets), len(self._contexts))
        mean, variance = np.empty((2, len(queries), shape[0]))
        for some in batches(len(queries), len(self._contexts)):
            said = answers(predictor, xs, ys, queries[some]).reshape(*shape, -1)
            mean[some], variance[some] = said.mean(axis=1).T, said.var(axis=1).T
        return mean * self._signs, variance

    def _squared_error(self) -> Float64[np.ndarray, " k"]:
        """Mean square of the predictor's errors at the second half of its contexts, each target's."""
        xs, ys = self._prompts()
        later = slice(xs.shape[1] // 2, None)
        said = predictions(cast(Predictor, self._predictor), "model", Prompts(xs, ys, xs, ys))
        return ((said - ys)[:, later] ** 2).reshape(len(self._targets), -1).mean(axis=1)


def _signs(
    means: Float64[np.ndarray, " k"],
    units: Float64[np.ndarray, " k"],
    targets: Float64[np.ndarray, "k n"],
    weights: Float64[np.ndarray, " n"] | None,
) -> Float64[np.ndarray, " k"]:
    """The sign of each target's mean; where that is 0, of its skewness, or of its first label off the mean."""
    found = np.ones(len(targets))
    counts = np.ones(targets.shape[1]) if weights is None else weights
    for k, scaled in enumerate(targets):
        if abs(means[k]) > _ROUNDING * units[k]:
            found[k] = np.sign(means[k])
            continue
        off = scaled[(counts > 0) & (np.abs(scaled) > _ROUNDING)]
        skewness = float(np.average(scaled**3, weights=counts))
        if abs(skewness) > _ROUNDING:
            found[k] = np.sign(skewness)
        elif len(off):
            found[k] = np.sign(off[0])
    return found
