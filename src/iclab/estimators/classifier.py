"""Classification by in-context learners, as a scikit-learn classifier."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self, cast

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from iclab.estimators.preparation import (
    batches,
    checked_data,
    checked_weights,
    contexts_of,
    divided,
    fitting_limits,
    moments,
    padded,
)
from iclab.evaluation.contexts import answers
from iclab.foundations import InvalidInputError, check_real
from iclab.predictors import LogisticRegression, Predictor
from iclab.prompts.labels import labels_of
from iclab.targets import resolve

_NAMED = ("logistic_regression",)
# Standard deviation of the intercept before any example, that of a weight being 1/√penalty with penalty 1.
_INTERCEPT = 10.0


class InContextClassifier(ClassifierMixin, BaseEstimator):
    """Classification by an in-context learner that sees the training data as its prompt.

    Inputs are centred and scaled to variance 1, on which such learners are trained; with ``standardize=False`` they are
    taken as they are.

    Parameters
    ----------
    model : {"logistic_regression"}, name, path, "module:object" or predictor, optional
        The learner. "logistic_regression" is the mode of logistic regression under w ~ N(0, I/penalty), its logits
        shrunk by Laplace's approximation of the variance of w'x; it has an intercept. A path is a run or saved model
        with the head "classes", and anything else maps ``Prompts`` to probabilities of classes. "logistic_regression"
        when omitted.
    penalty : float, default 1.0
        Of |w|²/2 for "logistic_regression".
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
    classes_ : ndarray, shape (k,)
        The classes, sorted.
    n_features_in_ : int
        d.

    Notes
    -----
    A learner of K classes takes up to K; the probabilities of classes that the data do not have are left out. With more
    classes, each is classified against the rest, and the k probabilities are divided by their sum. Contexts, orders and
    dimensions are those of ``InContextRegressor``.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import cross_val_score
    >>> X, y = load_iris(return_X_y=True)
    >>> bool(cross_val_score(InContextClassifier(), X, y, cv=5).mean() > 0.9)
    True
    """

    def __init__(
        self,
        model: str | Path | Predictor | None = None,
        *,
        penalty: float = 1.0,
        standardize: bool = True,
        random_state: Any = 0,
        device: str = "cpu",
        allow_code: bool = False,
    ) -> None:
        self.model = model
        self.penalty = penalty
        self.standardize = standardize
        self.random_state = random_state
        self.device = device
        self.allow_code = allow_code

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Store the examples as context.

        Parameters
        ----------
        X : array_like, shape (n, d)
            Inputs.
        y : array_like, shape (n,)
            Classes: numbers, words or truth values.
        sample_weight : array_like, shape (n,), optional
            How often an example counts. Other learners than the named one read it that often, and take whole numbers.

        Raises
        ------
        InvalidInputError
            If a parameter is out of range, the model unknown or one of numbers, its dimension below d, or the data too
            large to be scaled in double precision.
        """
        checked = checked_data(self, X, y)
        inputs, given = checked[0], checked[1]
        check_classification_targets(given)
        weights = checked_weights(sample_weight, inputs)
        penalty = check_real(self.penalty, "penalty", above=0.0)
        self.classes_, self._coded = np.unique(given, return_inverse=True)
        with np.errstate(over="ignore", invalid="ignore"):
            self.input_mean_, self.input_scale_ = (
                moments(inputs, weights) if self.standardize else (np.zeros(inputs.shape[1]), np.ones(inputs.shape[1]))
            )
        self._xs = self._scaled(inputs)
        model = "logistic_regression" if self.model is None else self.model
        self._named = isinstance(model, str) and model in _NAMED
        self._weights = weights if self._named else None
        self._predictor: Predictor = (
            LogisticRegression(penalty)
            if self._named
            else cast(Predictor, resolve(model, _NAMED, device=self.device, allow_code=self.allow_code))
        )
        self._most = self._classes_of_model()
        self._limits = fitting_limits(self._predictor, inputs)
        repeated = None if self._named else weights
        self._contexts = contexts_of(len(inputs), self._limits, repeated, self.random_state)
        return self

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The likeliest class of each query.

        Parameters
        ----------
        X : array_like, shape (m, d)
            Queries.

        Returns
        -------
        ndarray, shape (m,)
        """
        law = self.predict_proba(X)
        return self.classes_[law.argmax(axis=1)]

    def predict_proba(self, X: ArrayLike) -> Float64[np.ndarray, "m k"]:
        """Probabilities of the classes at each query.

        Parameters
        ----------
        X : array_like, shape (m, d)
            Queries.

        Returns
        -------
        ndarray, shape (m, k)
            In the order of ``classes_``.

        Raises
        ------
        InvalidInputError
            If the predictor does not return probabilities, or the queries are too large to be scaled.
        """
        check_is_fitted(self)
        queries = self._scaled(np.asarray(checked_data(self, X, reset=False)))
        count = len(self.classes_)
        if count == 1:
            return np.ones((len(queries), 1))
        if self._most is None or count <= self._most:
            return _normalised(self._answers(queries, self._coded, self._most or count)[:, :count])
        each = [
            _normalised(self._answers(queries, (self._coded == c).astype(np.int64), self._most)[:, :2])[:, 1]
            for c in range(count)
        ]
        return _normalised(np.stack(each, axis=1))

    def _scaled(self, inputs: np.ndarray) -> Float64[np.ndarray, "n d"]:
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = divided(inputs - self.input_mean_, self.input_scale_)
        if not np.isfinite(scaled).all():
            raise InvalidInputError(
                "X must be small enough for means and standard deviations in double precision; the largest number "
                f"given is {np.abs(inputs).max():.3g}: change its units."
            )
        return scaled

    def _classes_of_model(self) -> int | None:
        """Number of classes that the learner knows; None if it takes any."""
        stated = getattr(self._predictor, "architecture", self._predictor)
        if not hasattr(stated, "labels"):
            return None
        labels = labels_of(stated)
        if labels.n_classes is None:
            raise InvalidInputError(
                "model must be a learner of classes; this one's labels are numbers: take InContextRegressor, or train "
                "one with model.head 'classes'."
            )
        return labels.n_classes

    def _answers(
        self, queries: Float64[np.ndarray, "m d"], coded: Int64[np.ndarray, " n"], n_classes: int
    ) -> Float64[np.ndarray, "m k"]:
        """Mean over contexts of what the learner says of these classes."""
        if self._named:
            columns = [np.concatenate([part, np.full((len(part), 1), _INTERCEPT)], 1) for part in (self._xs, queries)]
            counts = None if self._weights is None else self._weights[None]
            logistic = cast(LogisticRegression, self._predictor)
            return logistic.answer(columns[0][None], coded[None], columns[1], counts)[0]
        xs = padded(np.stack([self._xs[part] for part in self._contexts]), self._limits)
        ys = np.stack([coded[part] for part in self._contexts])
        asked = padded(queries, self._limits)
        said = np.empty((len(queries), n_classes))
        for some in batches(len(queries), len(self._contexts)):
            said[some] = answers(self._predictor, xs, ys, asked[some], n_classes).mean(axis=0)
        return said


def _normalised(shares: Float64[np.ndarray, "m k"]) -> Float64[np.ndarray, "m k"]:
    """Shares divided by their sum; equal ones where all are 0."""
    total = shares.sum(axis=1, keepdims=True)
    return np.where(total > 0, shares / np.where(total > 0, total, 1.0), 1 / shares.shape[1])
