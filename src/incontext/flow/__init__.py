"""Gradient flow of the population loss, and the discrete training it idealises.

A *trajectory* gives the parameters θ(t) of a linear self-attention layer, its loss and its conserved quantity at any
time. ``gradient_flow`` makes one; it picks the method: a closed form, the spectral method, an adaptive integrator.
"""

from incontext.flow.gradient import gradient_flow
from incontext.flow.trajectory import Trajectory

__all__ = ["Trajectory", "gradient_flow"]
