"""What the study asks of its tables."""

from iclab.studies.study import Answer, Question, Verdict, cases


def others(tables):
    """Penalties that are not the variance of the noise."""
    errors = tables["errors"]
    return errors[errors["penalty"] != errors["noise"] ** 2]


def price(tables):
    """What the worst penalty costs; nobody claims anything about it."""
    worst = tables["errors"].nlargest(1, "excess").iloc[0]
    return Answer(Verdict.MEASURED, numbers={"excess": worst["excess"], "noise": worst["noise"]})


QUESTIONS = (
    Question(
        "bayes",
        "The variance of the noise is the best penalty.",
        "95 % interval of the excess error of every other penalty above 0.",
        lambda tables: cases(others(tables), "excess", 0.0),
        source="posterior mean of w ~ N(0, I)",
        lead=True,
    ),
    Question("price", "What does the worst penalty cost?", "The largest excess error.", price),
)
