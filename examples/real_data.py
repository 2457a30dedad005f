"""In-context learners on scikit-learn's data sets, beside its own estimators: score, interval and time.

Ten folds, the same for every learner. Intervals are those of Nadeau and Bengio (2003): Student's, with the variance
over folds multiplied by 1/k + 1/(k − 1), because training sets overlap. Prints two tables in Markdown.
"""

import time
import warnings

import numpy as np
from scipy.stats import t
from sklearn import datasets
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegressionCV, RidgeCV
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from iclab.estimators import InContextClassifier, InContextRegressor

FOLDS = 10
REGRESSION = {
    "diabetes (442 × 10)": datasets.load_diabetes(return_X_y=True),
    "Friedman 1 (500 × 10)": datasets.make_friedman1(500, noise=1.0, random_state=0),
    "Friedman 2 (500 × 4)": datasets.make_friedman2(500, noise=100.0, random_state=0),
    "Friedman 3 (500 × 4)": datasets.make_friedman3(500, noise=0.1, random_state=0),
}
REGRESSORS = {
    "`InContextRegressor()`, LSA": InContextRegressor(),
    '`InContextRegressor("linear-columns-d20-random-exponential-noise3-N100")`': InContextRegressor(
        "linear-columns-d20-random-exponential-noise3-N100"
    ),
    "ridge": make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 3, 13))),
    "10 nearest neighbours": make_pipeline(StandardScaler(), KNeighborsRegressor(10)),
    "random forest": RandomForestRegressor(random_state=0),
    "gradient boosting": GradientBoostingRegressor(random_state=0),
}
CLASSIFICATION = {
    "breast cancer (569 × 30)": datasets.load_breast_cancer(return_X_y=True),
    "wine (178 × 13)": datasets.load_wine(return_X_y=True),
    "digits, 16 principal components (1,797 × 16)": datasets.load_digits(return_X_y=True),
}
CLASSIFIERS = {
    "`InContextClassifier()`, Bayesian logistic": InContextClassifier(),
    "logistic regression": make_pipeline(StandardScaler(), LogisticRegressionCV(Cs=7, max_iter=2000)),
    "10 nearest neighbours": make_pipeline(StandardScaler(), KNeighborsClassifier(10)),
    "random forest": RandomForestClassifier(random_state=0),
    "gradient boosting": GradientBoostingClassifier(random_state=0),
}


def interval(scores: np.ndarray) -> tuple[float, float]:
    """Mean over folds and half the width of its 95 % interval."""
    spread = scores.std(ddof=1) * np.sqrt(1 / scores.size + 1 / (scores.size - 1))
    return float(scores.mean()), float(spread * t.ppf(0.975, scores.size - 1))


def table(data, learners, folds, scoring):
    """One row for each data set and learner."""
    print(f"| data | learner | {scoring} | 95 % interval | CPU seconds |\n|---|---|---|---|---|")
    for name, (X, y) in data.items():
        for learner, estimator in learners.items():
            steps = (PCA(16, random_state=0),) if name.startswith("digits") else ()
            begin = time.process_time()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # scikit-learn announces changes of its defaults
                scores = cross_val_score(make_pipeline(*steps, estimator), X, y, cv=folds, scoring=scoring)
            mean, half = interval(scores)
            spent = time.process_time() - begin
            print(f"| {name} | {learner} | {mean:.3f} | ± {half:.3f} | {spent:.1f} |", flush=True)


if __name__ == "__main__":
    table(REGRESSION, REGRESSORS, KFold(FOLDS, shuffle=True, random_state=0), "r2")
    print()
    table(CLASSIFICATION, CLASSIFIERS, StratifiedKFold(FOLDS, shuffle=True, random_state=0), "accuracy")
