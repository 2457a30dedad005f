"""What the paper reads off Figure 1, and what hangs on how one reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from iclab.studies.study import Answer, Number, Question, Tables, Verdict, cases

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
# How the paper's models read their prompts.
TOKENS = "interleaved"


def observed(name: str, line: float, *, above: bool = True, second: float | None = None) -> Callable[[Tables], Answer]:
    """Whether an observation appears: its checks against a line and, counted in the numbers, against a second one."""
    return partial(_observed, name=name, line=line, above=above, second=second)


def _observed(tables: Tables, name: str, line: float, above: bool, second: float | None) -> Answer:
    rows = tables["checks"][tables["checks"]["observation"] == name]
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
    answer = observed("longer_is_better", 0.0)(tables)
    models = tables["models"]
    random = models[models["family"] == "random"].sort_values("n_train", kind="stable")
    if random["n_train"].nunique() < 2:
        return answer
    short, long = random.iloc[0], random.iloc[-1]
    more = {f"{key}_longest_to_shortest": float(long[key] / short[key]) for key in ("steps", "labels_seen")}
    return replace(answer, numbers={**answer.numbers, **more})


def seeds(tables: Tables) -> Answer:
    """Whether seeds of training differ more beyond N than up to N."""
    spread = tables["spread"].set_index("beyond")["ratio"]
    if set(spread.index) != {False, True}:
        return Answer(Verdict.UNDECIDED)
    times = float(spread[True] / spread[False])
    numbers: dict[str, float | Number] = {"up_to_N": float(spread[False]), "beyond_N": float(spread[True])}
    above = times > SEEDS
    return Answer(Verdict.CONFIRMED if above else Verdict.REFUTED, int(above), int(not above), 0, numbers)


def learned(tables: Tables) -> Answer:
    """How many models learned their task."""
    models = tables["models"]["learned"].astype(bool)
    numbers = {"missing": float(len(tables["missing"]))}
    return Answer(Verdict.MEASURED, int(models.sum()), int((~models).sum()), 0, numbers)


QUESTIONS = (
    Question(
        "succeeds",
        "Trained on the fixed covariance, GPT-2 succeeds on random covariances of c = 1.",
        "Error at M = N, in units of the zero predictor's, below the threshold. The linear layer's limit is 33 % when "
        "trained on random covariances and 300 % on the fixed one.",
        observed("succeeds", SUCCESS, above=False, second=BETWEEN),
        "§4.3, Equation (23)",
        lead=True,
        thresholds={"threshold": SUCCESS, "second line": BETWEEN},
    ),
    Question(
        "fails",
        "Trained on the fixed covariance, it is unsuccessful at large variance (c > 1).",
        "Error at M = N, in units of the zero predictor's, above the threshold.",
        observed("fails", SUCCESS, second=BETWEEN),
        "§4.3",
        lead=True,
        thresholds={"threshold": SUCCESS, "second line": BETWEEN},
    ),
    Question(
        "random_is_better",
        "Trained on random covariances, it performs better on prompts of higher variance.",
        "Error at M = N of the model trained on the fixed covariance minus that of the other (same N, same prompts, "
        "c > 1) above 0.",
        observed("random_is_better", 0.0),
        "§4.3",
        lead=True,
    ),
    Question(
        "short_of_least_squares",
        "Trained on random covariances, it still fails to match least squares at the largest c.",
        "Error at M = N, in units of the zero predictor's, above the threshold; least squares has 0.",
        observed("short_of_least_squares", MATCH, second=BETWEEN),
        "§4.3",
        lead=True,
        thresholds={"threshold": MATCH, "second line": BETWEEN},
    ),
    Question(
        "longer_is_better",
        "Trained on random covariances, models achieve smaller error with larger training contexts.",
        "Error of the shorter-trained minus that of the longer-trained model, on their own inputs and both at M = the "
        "shorter N, above 0.",
        longer,
        "caption of Figure 1",
        lead=True,
    ),
    Question(
        "rises",
        "The error spikes when the test prompt is longer than the training prompts.",
        "Mean error over M in (N, 1.5 N] over the error at N above the threshold.",
        observed("rises", 1.0, second=SPIKE),
        "§4.3, caption of Figure 1",
        lead=True,
        thresholds={"threshold": 1.0, "second line": SPIKE},
    ),
    Question(
        "ratio_shrinks",
        "The spike decreases at higher variance.",
        "Error beyond N over the error at N: this ratio at the smallest c over that at the largest above 1.",
        observed("ratio_shrinks", 1.0),
        "§4.3",
        lead=True,
    ),
    Question(
        "difference_shrinks",
        "It decreases as a difference too.",
        "Error beyond N less that at N: this difference at the smallest c minus that at the largest above 0.",
        observed("difference_shrinks", 0.0),
    ),
    Question(
        "seeds",
        "What a model does beyond N depends on its training seed more than what it does up to N.",
        "Standard deviation between seeds over one model's standard error (median over positions and panels), beyond N "
        "over that up to N, above the threshold.",
        seeds,
        thresholds={"threshold": SEEDS},
    ),
    Question(
        "learned",
        "How many models learned their own task?",
        "Those that did not are left out of every other answer.",
        learned,
    ),
)
