"""Sequences: how small transformers come to predict Markov chains, pools of chains and urns."""
