"""What the study of positions asks of its tables."""

from __future__ import annotations

import pandas as pd

from iclab.studies.folder import questions_of
from iclab.studies.rows import where
from iclab.studies.study import Answer, Tables, Verdict, cases, counted

# Over this times the error at N, the error beyond N counts as a spike.
SPIKE = 2.0
OTHERS = ("shifted", "none", "rotary", "alibi")


def own(tables: Tables, *variants: str, treatment: str = "none") -> pd.DataFrame:
    """Models tested on the inputs that they were trained on."""
    return where(tables["spikes"], own=True, variant=variants, treatment=treatment)


def cause(tables: Tables) -> Answer:
    """The paper's conjecture: a spike with learned positions, none with others, and none without untrained rows."""
    learned = cases(own(tables, "learned"), "near", SPIKE)
    others = cases(own(tables, *OTHERS), "near", SPIKE)
    late = cases(own(tables, *OTHERS), "far", SPIKE)
    zeroed = cases(own(tables, "learned", treatment="zero"), "near", SPIKE)
    numbers = {
        "others_spike": others.met,
        "others_spike_far": late.met,
        "zeroed_spike": zeroed.met,
        "smallest_ratio_learned": learned.numbers["lowest"],
        "largest_ratio_others": others.numbers["highest"],
    }
    if learned.verdict is not Verdict.CONFIRMED:
        return Answer(Verdict.UNDECIDED, learned.met, learned.missed, learned.undecided, numbers)
    if others.met == others.total:
        verdict = Verdict.REFUTED
    else:
        verdict = Verdict.IN_PART if others.met or late.met or zeroed.met else Verdict.CONFIRMED
    return Answer(verdict, learned.met, others.met, 0, numbers)


def mechanism(tables: Tables) -> Answer:
    changed = tables["interventions"]
    rows = changed[changed["treatment"] != "none"]
    missed = (rows["gap_low"] > 0) | (rows["gap_high"] < 0)
    return counted(~missed, largest_damage=rows["damage"].max())


QUESTIONS = questions_of(globals())
