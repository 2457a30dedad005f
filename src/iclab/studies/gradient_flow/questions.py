"""What the study of gradient flow asks of its tables."""

from __future__ import annotations

import numpy as np
import pandas as pd

from iclab.studies.folder import questions_of
from iclab.studies.rows import where
from iclab.studies.study import Answer, Tables, tally

# Below these, relative differences are the rounding of the computation, and of a rate read off at late times.
ROUNDING, RATE_ROUNDING = 1e-10, 1e-3
# Keys of an answer's numbers, by case.
_SHORT = {"fixed covariance": "fixed Λ", "random covariances": "random Λ"}


def limit(tables: Tables) -> Answer:
    """Distance of the flow's end from the theorem's parameters, relative to their norm."""
    distances = {
        str(case): float(np.linalg.norm(rows["reached"] - rows["theorem"]) / np.linalg.norm(rows["theorem"]))
        for case, rows in tables["limits"].groupby("case")
    }
    return _at_most(distances, ROUNDING)


def bound(tables: Tables) -> Answer:
    """How often the excess lies below e^{−μt}(L(0) − min L) at t > 0; at 0 they are equal."""
    excess, paper = (_values(tables, name) for name in ("excess", "pl_bound"))
    later = excess["t"] > 0
    met = int((excess["value"] <= paper["value"])[later].sum())
    missed = int(later.sum()) - met
    constants = tables["certificates"].set_index("case")
    numbers = {
        f"asymptotic rate / μ, {_SHORT[str(case)]}": float(row["asymptotic_rate"] / row["pl_constant"])
        for case, row in constants.iterrows()
    }
    return tally(met, missed, **numbers)


def gradient(tables: Tables) -> Answer:
    """The smallest ‖∇L‖²/(μ(L − min L))."""
    return _at_least(_by_case(_values(tables, "pl_ratio"), "min"), dict.fromkeys(_SHORT, 1.0))


def away_from_zero(tables: Tables) -> Answer:
    """The smallest u beside the paper's bound."""
    bounds = tables["certificates"].set_index("case")["u_lower_bound"]
    return _at_least(_by_case(_values(tables, "u"), "min"), {str(case): float(x) for case, x in bounds.items()})


def balance(tables: Tables) -> Answer:
    """The largest |u² − ‖U‖²|."""
    rows = _values(tables, "balance")
    return _at_most(_by_case(rows.assign(value=rows["value"].abs()), "max"), ROUNDING)


def rate(tables: Tables) -> Answer:
    """The rate measured late on the flow against the asymptotic rate."""
    constants = tables["certificates"].set_index("case")
    distance = (constants["late_rate"] / constants["asymptotic_rate"] - 1).abs()
    return _at_most({str(case): float(value) for case, value in distance.items()}, RATE_ROUNDING)


def _values(tables: Tables, quantity: str) -> pd.DataFrame:
    rows = tables["trajectory"]
    return where(rows, quantity=quantity).sort_values(["case", "t"]).reset_index(drop=True)


def _by_case(rows: pd.DataFrame, which: str) -> dict[str, float]:
    return {str(case): float(value) for case, value in rows.groupby("case")["value"].agg(which).items()}


def _at_most(values: dict[str, float], line: float) -> Answer:
    met = sum(value <= line for value in values.values())
    return tally(met, len(values) - met, **_short(values))


def _at_least(values: dict[str, float], lines: dict[str, float]) -> Answer:
    met = sum(value >= lines[case] for case, value in values.items())
    numbers = _short(values) | {f"bound, {name}": value for name, value in _short(lines).items()}
    return tally(met, len(values) - met, **numbers)


def _short(values: dict[str, float]) -> dict[str, float]:
    return {_SHORT[case]: value for case, value in values.items()}


QUESTIONS = questions_of(globals())
