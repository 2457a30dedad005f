"""What §4.3 hopes for: errors with high probability over covariances, of the layer exactly, of GPT-2 by prompt."""
