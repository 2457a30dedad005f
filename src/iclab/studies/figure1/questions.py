"""What the paper reads off Figure 1, and what hangs on how one reads it."""

from __future__ import annotations

from dataclasses import replace

from iclab.studies.folder import questions_of
from iclab.studies.measuring import TOKENS
from iclab.studies.rows import where
from iclab.studies.study import Answer, Tables, Verdict, cases, counted

# The paper gives no numbers: an error below this fraction of the zero predictor's counts as success,
SUCCESS = 0.25
# an error below this fraction as matching least squares,
MATCH = 0.05
# and this line in between shows how much hangs on either.
BETWEEN = 0.1
# A rise beyond N that multiplies the error by more than this is a spike.
SPIKE = 2.0
# Seeds spread more beyond N when their spread there is over this times that up to N.
SEEDS = 2.0


def observed(tables: Tables, *, name: str, line: float, above: bool = True, second: float | None = None) -> Answer:
    """Whether an observation appears: its checks against a line and, counted in the numbers, against a second one."""
    rows = where(tables["checks"], observation=name)
    answer = cases(rows, "value", line, above=above)
    if second is not None and len(rows):
        again = cases(rows, "value", second, above=above)
        answer = replace(answer, numbers={**answer.numbers, f"met_at_{second:g}": again.met})
    # Models that read their prompts otherwise than the paper's can neither confirm nor refute what it saw.
    if answer.total and not (tables["models"]["embedding"] == TOKENS).all():
        answer = replace(answer, verdict=Verdict.MEASURED)
    return answer


def longer(tables: Tables) -> Answer:
    """Whether longer training prompts help, and what else the longest-trained model had more of than the shortest."""
    answer = observed(tables, name="longer_is_better", line=0.0)
    models = tables["models"]
    random = where(models, family="random").sort_values("n_train", kind="stable")
    if random["n_train"].nunique() < 2:
        return answer
    short, long = random.iloc[0], random.iloc[-1]
    more = {f"{key}_longest_to_shortest": float(long[key] / short[key]) for key in ("steps", "labels_seen")}
    return replace(answer, numbers={**answer.numbers, **more})


def seeds(tables: Tables) -> Answer:
    spread = tables["spread"].set_index("beyond")["ratio"]
    if set(spread.index) != {False, True}:
        return Answer(Verdict.UNDECIDED)
    return counted([spread[True] / spread[False] > SEEDS], up_to_N=spread[False], beyond_N=spread[True])


def size(tables: Tables) -> Answer:
    return counted(tables["models"]["papers_size"].astype(bool))


def learned(tables: Tables) -> Answer:
    answer = counted(tables["models"]["learned"].astype(bool), missing=len(tables["missing"]))
    return replace(answer, verdict=Verdict.MEASURED)


QUESTIONS = questions_of(globals())
