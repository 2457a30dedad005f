"""Training on varying covariances: what one linear layer cannot learn, what GPT-2 learns, what scaling at test does."""
