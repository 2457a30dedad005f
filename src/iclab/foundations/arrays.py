"""Shape aliases. Sizes in annotations: B prompts, P positions, d input dimensions, M or N examples."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from jaxtyping import Float64

Scalar: TypeAlias = Float64[np.ndarray, ""] | np.float64 | float
"""A number."""
Vector: TypeAlias = Float64[np.ndarray, "d"]
"""A vector, shape (d,)."""
Matrix: TypeAlias = Float64[np.ndarray, "d d"]
"""A square matrix, shape (d, d)."""
Vectors: TypeAlias = Float64[np.ndarray, "*batch d"]
"""Vectors, shape (…, d)."""
Matrices: TypeAlias = Float64[np.ndarray, "*batch d d"]
"""Square matrices, shape (…, d, d)."""
PromptInputs: TypeAlias = Float64[np.ndarray, "B P d"]
"""Inputs of prompts, shape (B, P, d)."""
PromptLabels: TypeAlias = Float64[np.ndarray, "B P"]
"""Labels of prompts, or predictions, shape (B, P)."""
