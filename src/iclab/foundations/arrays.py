"""Shape aliases. Sizes in annotations: B prompts, P positions, d input dimensions, M or N examples."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from jaxtyping import Float64

Scalar: TypeAlias = Float64[np.ndarray, ""] | np.float64 | float
Vector: TypeAlias = Float64[np.ndarray, "d"]
Matrix: TypeAlias = Float64[np.ndarray, "d d"]
Vectors: TypeAlias = Float64[np.ndarray, "*batch d"]
Matrices: TypeAlias = Float64[np.ndarray, "*batch d d"]
PromptInputs: TypeAlias = Float64[np.ndarray, "B P d"]
PromptLabels: TypeAlias = Float64[np.ndarray, "B P"]
