"""Classification in context: clusters with flipped labels, logistic regression, and bursts of classes."""
