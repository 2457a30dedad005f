"""Figure 1 of the paper: GPT-2 models trained on fixed and on random covariances, tested on four distributions."""
