"""Classical in-context learners.

A *predictor* is any callable that maps ``Prompts`` to one prediction per position from the examples before that
position alone: numbers, shape (B, P), vectors, shape (B, P, k), or the probabilities of classes, shape (B, P, k).
Position 0 predicts 0, or the law of the classes before any example. The classes here are frozen dataclasses whose
fields are the learner's settings, so their ``repr`` names them fully. Those that are linear in the query also
give their ``weights(prompts)``. Least squares, ridge, averaging, neighbours, descent and LSA answer every
position in one pass over the prompt; those of scikit-learn are fitted at every prefix. A function of your own
is a predictor as it stands; ``REGISTRY`` holds the named ones.
"""

from iclab.predictors.averaging import Averaging, Zero
from iclab.predictors.base import LinearPredictor, Predictor
from iclab.predictors.bayes import BestLinear, FinitePoolBayes, NoiseMixtureBayes
from iclab.predictors.clusters import ClusterBayes, OneMatrix
from iclab.predictors.descent import GradientDescent, Newton
from iclab.predictors.enumeration import Elimination, EnumerationBayes, ParityBayes
from iclab.predictors.evidence import EvidenceMixture, LinearBayes, RandomScaleBayes
from iclab.predictors.exact import bayes_predictor, near_bayes
from iclab.predictors.expectation_propagation import ClassificationEP, SignEP
from iclab.predictors.features import InFeatures
from iclab.predictors.fitted import GradientBoosting, Lasso, RegressionTree, predict_by_refitting
from iclab.predictors.gradient_descent_plus import GradientDescentPlusPlus
from iclab.predictors.kernels import ArcCosine, KernelRegression, SharedLeaf
from iclab.predictors.least_squares import LeastSquares, Ridge
from iclab.predictors.logistic import LogisticRegression
from iclab.predictors.low_rank import LowRankParticles
from iclab.predictors.lsa import TrainedLSA
from iclab.predictors.neighbours import NearestNeighbors
from iclab.predictors.network import TwoLayerNetwork
from iclab.predictors.ngrams import MarkovPoolBayes, NGramBayes, TrueLaw
from iclab.predictors.online import DeltaRule, ForgettingAverage, Kaczmarz, RecursiveLeastSquares
from iclab.predictors.recall import RecallBayes
from iclab.predictors.registry import FAST, REGISTRY, predictor, rivals
from iclab.predictors.rescaled import Rescaled
from iclab.predictors.square_root_filter import PrefixFit, fit_prefixes
from iclab.predictors.subsets import SparseBayes
from iclab.predictors.trees import TreeBayes

__all__ = [
    "FAST",
    "REGISTRY",
    "ArcCosine",
    "Averaging",
    "BestLinear",
    "ClassificationEP",
    "ClusterBayes",
    "DeltaRule",
    "Elimination",
    "EnumerationBayes",
    "EvidenceMixture",
    "FinitePoolBayes",
    "ForgettingAverage",
    "GradientBoosting",
    "GradientDescent",
    "GradientDescentPlusPlus",
    "InFeatures",
    "Kaczmarz",
    "KernelRegression",
    "Lasso",
    "LeastSquares",
    "LinearBayes",
    "LinearPredictor",
    "LogisticRegression",
    "LowRankParticles",
    "MarkovPoolBayes",
    "NGramBayes",
    "NearestNeighbors",
    "Newton",
    "NoiseMixtureBayes",
    "OneMatrix",
    "ParityBayes",
    "Predictor",
    "PrefixFit",
    "RandomScaleBayes",
    "RecallBayes",
    "RecursiveLeastSquares",
    "RegressionTree",
    "Rescaled",
    "Ridge",
    "SharedLeaf",
    "SignEP",
    "SparseBayes",
    "TrainedLSA",
    "TreeBayes",
    "TrueLaw",
    "TwoLayerNetwork",
    "Zero",
    "bayes_predictor",
    "fit_prefixes",
    "near_bayes",
    "predict_by_refitting",
    "predictor",
    "rivals",
]
