"""Function classes: models beside exact Bayes predictors, targets, mixtures of classes."""
