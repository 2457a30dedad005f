"""Which shifts trained transformers, the linear layer and classical learners tolerate."""
