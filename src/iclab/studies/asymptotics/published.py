"""Published numbers, as printed, beside ours; depth a second time from integrals of the density."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from scipy.integrate import quad
from scipy.optimize import minimize_scalar

from iclab.theory import depth_asymptotics, ridgeless_asymptotics

LU, LETEY, BORDELON = "Lu et al. 2025", "Letey et al. 2026", "Bordelon et al. 2026"
NOISE = 0.01
# ICL and IDG by τ at κ = .5, α = 10; ICL − IDG by κ at α = τ = 10 (Lu et al.).
BY_TAU = {
    0.2: ("0.8643", "0.5507"),
    0.5: ("0.8208", "0.2463"),
    0.85: ("2.2279", "0.4265"),
    1.15: ("2.7748", "0.4309"),
    1.5: ("1.2236", "0.1686"),
    2.0: ("0.8912", "0.1124"),
    10.0: ("0.5957", "0.0624"),
}
BY_KAPPA = {0.2: "0.8253", 0.6: "0.4385", 1.0: "0.1636", 2.0: "0.0301", 8.0: "0.0037"}
# Untied and tied by depth at α = 2 (Bordelon et al.).
BY_DEPTH = {2: ("0.143", "0.185"), 4: ("0.032", "0.082")}
DEPTH_ALPHA = 2.0


def published() -> pd.DataFrame:
    """Rows of source, quantity, alpha, tau, kappa, layers, printed, ours, unit (of the last printed digit), and gap."""
    rows: list[dict[str, Any]] = []
    for tau, (icl, idg) in BY_TAU.items():
        limit = ridgeless_asymptotics(10, tau, 0.5, NOISE)
        where = {"source": LU, "alpha": 10.0, "tau": tau, "kappa": 0.5}
        rows += [_row("ICL", icl, limit.icl, **where), _row("IDG", idg, limit.idg, **where)]
    for kappa, gap in BY_KAPPA.items():
        limit = ridgeless_asymptotics(10, 10, kappa, NOISE)
        rows.append(_row("ICL − IDG", gap, limit.task_gap, source=LU, alpha=10.0, tau=10.0, kappa=kappa))
    for layers, (untied, tied) in BY_DEPTH.items():
        limit = depth_asymptotics(DEPTH_ALPHA, layers)
        where = {"source": BORDELON, "alpha": DEPTH_ALPHA, "layers": layers}
        rows += [_row("untied", untied, limit.untied, **where), _row("tied", tied, limit.tied, **where)]
    return pd.DataFrame(rows).astype({"layers": "Int64"})


def _row(quantity: str, printed: str, ours: float, **where: Any) -> dict[str, Any]:
    unit, number = 10.0 ** -len(printed.partition(".")[2]), float(printed)
    known = {"source": "", "quantity": quantity, "alpha": np.nan, "tau": np.nan, "kappa": np.nan, "layers": None}
    return {**known, **where, "printed": number, "ours": ours, "unit": unit, "gap": abs(ours - number) / unit}


def depths(alphas: tuple[float, ...], layers: tuple[int, ...]) -> pd.DataFrame:
    """Errors of L layers by α: from orthogonal polynomials (untied, tied), and from integrals of the density.

    The integrals are adaptive, the untied polynomial solves normal equations of moments, the tied rate is searched for;
    nothing is shared with ``depth_asymptotics``. The normal equations are too ill-conditioned beyond 4 layers.
    """
    rows = []
    for alpha, L in product(alphas, layers):
        limit = depth_asymptotics(alpha, L)
        row = {"alpha": alpha, "layers": L, "untied": limit.untied, "tied": limit.tied, "rate": limit.rate}
        row |= {"untied_integral": _untied(alpha, L) if L <= 4 else np.nan}
        row |= {"tied_integral": _tied(alpha, L) if L <= 4 else np.nan}
        rows.append({**row, "floor": limit.floor})
    return pd.DataFrame(rows)


def _mean(function: Callable[[float], float], alpha: float) -> float:
    """Over the Marchenko-Pastur distribution of ratio 1/α, from its density and its atom at 0."""
    c = 1 / alpha
    low, high = (1 - math.sqrt(c)) ** 2, (1 + math.sqrt(c)) ** 2

    def integrand(angle: float) -> float:
        x = (high + low) / 2 + (high - low) / 2 * math.cos(angle)
        # At α = 1 the density is infinite at 0, where sin² vanishes as fast.
        density = ((high - low) / 2 * math.sin(angle)) ** 2 / (2 * math.pi * c * x) if x > 0 else 2 / math.pi
        return function(x) * density

    return quad(integrand, 0, math.pi, epsabs=1e-13, epsrel=1e-12)[0] + max(0.0, 1 - alpha) * function(0.0)


def _untied(alpha: float, layers: int) -> float:
    moments = [_mean(lambda x, k=k: x**k, alpha) for k in range(2 * layers + 1)]
    gram = np.array([[moments[i + j + 2] for j in range(layers)] for i in range(layers)])
    right = np.array(moments[1 : layers + 1])
    return 1 - float(right @ np.linalg.solve(gram, right))


def _tied(alpha: float, layers: int) -> float:
    def error(gamma: float) -> float:
        return _mean(lambda x: (1 - gamma * x / layers) ** (2 * layers), alpha)

    largest = (1 + math.sqrt(1 / alpha)) ** 2
    # Convex: an even power of something linear in γ.
    return float(minimize_scalar(error, bounds=(0, 2 * layers / largest), method="bounded").fun)
