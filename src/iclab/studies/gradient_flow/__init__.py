"""Theorems 4 and 8 along a whole trajectory: the loss beside its bound and rate, the parameters beside their limits."""
