"""Depth and nonlinearity: one to six layers of attention against their optimum, and what cures random covariances."""
