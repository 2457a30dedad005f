"""Robustness: which part of a recipe of training buys small errors under Garg et al.'s shifts."""
