"""In-context learners on scikit-learn's diabetes data (442 patients, 10 features), by repeated cross-validation.

The learners see nothing but the training folds as their prompt. Five transformers that ship with the package
stand beside them (a folder of a trained model as an argument adds yours): four were trained on noise-free prompts of
40 examples, and these data are mostly noise; the fifth on prompts of 100 with noisy labels.
"""

import sys

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression, RidgeCV
from sklearn.model_selection import GridSearchCV, RepeatedKFold, cross_val_score

from iclab.estimators import InContextRegressor
from iclab.predictors import NearestNeighbors

SHIPPED = [f"{kind}-columns-d20-{law}" for kind in ("gpt2", "linear") for law in ("identity", "random-exponential")]
SHIPPED.append("linear-columns-d20-random-exponential-noise3-N100")

if __name__ == "__main__":
    X, y = load_diabetes(return_X_y=True)
    folds = RepeatedKFold(n_splits=5, n_repeats=2, random_state=0)
    noises = {"noise": [0.3, 1.0, 3.0, 10.0, 30.0]}
    learners = {
        "LSA, noise-free": InContextRegressor("lsa", noise=0.0),
        "LSA, noise chosen inside": GridSearchCV(InContextRegressor("lsa"), noises, cv=5),
        "Bayes ridge, noise chosen inside": GridSearchCV(InContextRegressor("ridge"), noises, cv=5),
        "least squares": InContextRegressor("least_squares"),
        "10 nearest neighbours": InContextRegressor(NearestNeighbors(10)),
        "scikit-learn LinearRegression": LinearRegression(),
        "scikit-learn RidgeCV": RidgeCV(np.logspace(-3, 3, 13)),
        **{model: InContextRegressor(model) for model in (*SHIPPED, *sys.argv[1:])},
    }
    print(f"{'learner':40}{'R²':>8}  standard deviation over folds")
    for name, learner in learners.items():
        scores = cross_val_score(learner, X, y, cv=folds)
        print(f"{name:40}{scores.mean():8.4f}  {scores.std():.4f}")
