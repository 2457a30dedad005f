"""What the paper reads off Figure 1, as criteria that numbers meet, miss or leave open.

What the paper's words leave open (where failure begins, what a spike is measured by) is counted in a second way beside
the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

# The paper gives no numbers: an error below this fraction of the zero estimator's counts as success …
SUCCESS = 0.25
# … an error below this fraction as matching least squares …
MATCH = 0.05
# … and this line in between shows how much hangs on either.
BETWEEN = 0.1
# A rise beyond N that multiplies the error by more than this is a spike.
SPIKE = 2.0
# Level of the intervals of checks.
CONFIDENCE = 0.99
# Verdict where no model that learned its task can show an observation.
NO_MODEL = "no model"

# What a check comes to.
MEETS, MISSES, UNDECIDED = "meets", "misses", "undecided"


@dataclass(frozen=True)
class Beside:
    """A second way to count an observation, printed beside the verdict.

    Attributes
    ----------
    said : str
        What is counted, in a few words.
    line : float
        What is above or below this meets it.
    own : bool
        Whether it has checks of its own, ``said`` being their criterion; otherwise those of the observation are held
        against its line.
    """

    said: str
    line: float
    own: bool = False


@dataclass(frozen=True)
class Observation:
    """What the paper says about the figure, and how it is measured here.

    Attributes
    ----------
    title : str
        In a few words.
    said : str
        What the paper says, close to its own words.
    source : str
        Where it says so.
    criterion : str
        The quantity, and when it meets the observation.
    line : float
        Where the quantity begins to meet it.
    above : bool
        Whether it does above the line, or below.
    beside : Beside, optional
        What else is counted.
    """

    title: str
    said: str
    source: str
    criterion: str
    line: float = 0.0
    above: bool = True
    beside: Beside | None = None


_BETWEEN = Beside(f"at a line of {BETWEEN:.0%}", BETWEEN)
SUCCEEDS = Observation(
    "Models trained on the fixed covariance succeed at c = 1",
    "GPT-2 trained on the fixed covariance succeeds on random covariances if the variance is not too large, and so "
    "generalises better than a single layer of linear self-attention.",
    "§4.3, Equation (23)",
    f"error at M = N over the zero estimator's, below {SUCCESS:.0%}; the layer's limit is 33% when trained on random "
    "covariances, 300% on the fixed one",
    SUCCESS,
    above=False,
    beside=_BETWEEN,
)
FAILS = Observation(
    "Models trained on the fixed covariance fail at c > 1",
    "When the variance is large (c = 4, 9), GPT-2 trained on the fixed covariance is unsuccessful.",
    "§4.3",
    f"error at M = N over the zero estimator's, above {SUCCESS:.0%}",
    SUCCESS,
    beside=_BETWEEN,
)
RANDOM_IS_BETTER = Observation(
    "Models trained on random covariances do better at high variance",
    "Trained on random covariances, the model performs better on prompts of higher variance.",
    "§4.3",
    "fixed minus random error at M = N, same N and prompts, above 0",
)
SHORT_OF_LEAST_SQUARES = Observation(
    "Models trained on random covariances still miss least squares at the largest variance",
    "Trained on random covariances, the model still fails to match least squares when the scaling is largest (c = 9).",
    "§4.3",
    f"error at M = N, where least squares has 0, over the zero estimator's, above {MATCH:.0%}",
    MATCH,
    beside=_BETWEEN,
)
LONGER_IS_BETTER = Observation(
    "Larger training contexts help",
    "The models achieve smaller error when they are trained on random covariances with larger contexts.",
    "caption of Figure 1",
    "error of the shorter-trained minus the longer-trained random-covariance model, on its own law and both at M = the "
    "shorter N, above 0",
)
SPIKES = Observation(
    "The error rises beyond the training length",
    "When the test prompt is longer than the training prompts (M > N), there is an evident spike in prediction "
    "error, whether training and testing were on fixed or random covariances.",
    "§4.3, caption of Figure 1",
    "mean error over the tested M in (N, 1.5 N] over the error at N, above 1",
    1.0,
    beside=Beside(f"a spike, above {SPIKE:g}", SPIKE),
)
SPIKES_SHRINK = Observation(
    "The relative rise is smaller at higher variance",
    "The spike appears to decrease on prompts of higher variance; the paper is unsure why.",
    "§4.3",
    "error beyond N over the error at N: this ratio at the smallest c over that at the largest, above 1",
    1.0,
    beside=Beside("the rise itself smaller", 0.0, own=True),
)
OBSERVATIONS = (
    SUCCEEDS,
    FAILS,
    RANDOM_IS_BETTER,
    SHORT_OF_LEAST_SQUARES,
    LONGER_IS_BETTER,
    SPIKES,
    SPIKES_SHRINK,
)
"""In the order of the paper."""


def summarise(table: pd.DataFrame) -> list[dict[str, object]]:
    """One entry per observation: how many of its checks meet, miss or leave it open, and the verdict in words.

    An observation appears if all checks meet its criterion, and does not if none meets and some miss it; without a
    check the verdict is "no model". What is counted beside it does not enter the verdict.
    """
    summary: list[dict[str, object]] = []
    for observation in OBSERVATIONS:
        of_title = table[table["observation"] == observation.title]
        own = of_title[of_title["criterion"] == observation.criterion]
        tally = _tally(own, observation.line, above=observation.above)
        meets, total = tally["count"], tally["total"]
        if not total:
            verdict = NO_MODEL
        elif tally["undecided"] == total:
            verdict = UNDECIDED
        else:
            verdict = "appears" if meets == total else "appears in part" if meets else "does not appear"
        again, second = None, observation.beside
        if second:
            rows = of_title[of_title["criterion"] == second.said] if second.own else own
            again = {"said": second.said, **_tally(rows, second.line, above=observation.above)}
        summary.append(
            {
                "observation": observation.title,
                "criterion": observation.criterion,
                "verdict": verdict,
                **tally,
                "beside": again,
                "lowest": float(own["value"].min()) if total else None,
                "highest": float(own["value"].max()) if total else None,
            }
        )
    return summary


def _tally(checks: pd.DataFrame, line: float, *, above: bool) -> dict[str, int]:
    """How many checks meet, miss or leave open what lies above or below a line."""
    outcomes = [
        outcome_of(low, high, line, above=above) for low, high in zip(checks["lower"], checks["upper"], strict=True)
    ]
    return {
        "count": outcomes.count(MEETS),
        "misses": outcomes.count(MISSES),
        "undecided": outcomes.count(UNDECIDED),
        "total": len(outcomes),
    }


def counted(entry: Mapping[str, Any]) -> str:
    """How many checks of an observation meet its criterion, miss it or do neither, and what is counted beside it."""
    rest = ((entry["misses"], "missed"), (entry["undecided"], "undecided"))
    text = f"{entry['count']} of {entry['total']}" + "".join(f", {count} {said}" for count, said in rest if count)
    return text + (f" ({beside(entry)})" if entry.get("beside") else "")


def beside(entry: Mapping[str, Any]) -> str:
    """What is counted beside an observation."""
    return f"{entry['beside']['said']}: {counted(entry['beside'])}"


def outcome_of(lower: float, upper: float, line: float, *, above: bool) -> str:
    """What a check comes to whose interval is given."""
    if lower > line:
        return MEETS if above else MISSES
    if upper < line:
        return MISSES if above else MEETS
    return UNDECIDED
