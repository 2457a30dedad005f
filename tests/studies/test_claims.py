"""The table of claims: its verdicts, that nothing is recomputed, and that a wrong formula flips a verdict."""

import math
from typing import get_args

import numpy as np
import pandas as pd
import pytest

from iclab.foundations import Estimate, InvalidInputError
from iclab.prompts import Gaussian
from iclab.studies import claims
from iclab.studies.claims import CLAIMS
from iclab.studies.claims.bench import Bench, Problem
from iclab.studies.claims.claim import find
from iclab.studies.claims.evidence import (
    FAILS,
    HOLDS,
    ONLY_IF,
    UNDECIDED,
    Evidence,
    Obtained,
    Outcome,
    at_most,
    equal,
    positive,
    sampled,
    verdict_of,
)
from iclab.studies.claims.questions import QUESTIONS
from iclab.studies.claims.table import arguments, check_registry
from iclab.studies.claims.trajectories import pl_constant, restricted_loss, u_lower_bound
from iclab.studies.study import Verdict, ask
from iclab.theory import minimizer

# What the table must cover, in the paper's numbering, beside its errata and the summary document.
ITEMS = (
    [f"Definition {k}" for k in (1, 2, 7)]
    + [f"Lemma {k}" for k in (9, 10, 11, 12, 15, 17, 18, 19, 20, 21, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32)]
    + [f"Theorem {k}" for k in (4, 5, 8)]
    + [f"Corollary {k}" for k in (6, 16, 22)]
    + [f"({k})" for k in (7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 21, 22, 23, 25, 26, 27, 28)]
    + [f"({k})" for k in (31, 32, 35, 36, 37, 38, 39, 40, 50)]
    + ["Ahn", "Akyürek", "Bai", "Edelman", "Han", "Min", "Trockman", "Xie", "Section 6", "Appendix E"]
    + [
        "footnote 2",
        "Assumption 3",
        "mechanism 1",
        "mechanism 2",
        "mechanism 3",
        "break condition",
        "failure signature",
    ]
)


@pytest.fixture(scope="module")
def tables(measured) -> dict[str, pd.DataFrame]:
    return measured("claims", effort="quick")


@pytest.fixture(scope="module")
def table(tables) -> pd.DataFrame:
    return tables["claims"]


def bench(name: str = "test", seed: int = 0, critical: float = 4.0) -> Bench:
    return Bench(name, seed, "quick", critical)


def test_every_verdict_is_the_one_on_record(table: pd.DataFrame) -> None:
    wrong = table[~table["as_expected"]]
    assert wrong.empty, wrong[["claim", "verdict", "expected", "deviation", "tolerance"]].to_string()


@pytest.mark.slow
def test_another_seed_gives_the_same_verdicts_from_other_problems(table: pd.DataFrame) -> None:
    other = claims.check_claims(seed=20, effort="quick")["claims"]
    assert other["as_expected"].all(), other.loc[~other["as_expected"], "claim"].tolist()
    assert (other["deviation_as_stated"] != table["deviation_as_stated"]).mean() > 0.5


@pytest.mark.parametrize("item", ITEMS)
def test_the_table_covers(item: str) -> None:
    assert any(item in claim.words.source for claim in CLAIMS), item


def test_errata_are_in_the_table(table: pd.DataFrame) -> None:
    found = set(table.loc[table["erratum"], "claim"])
    assert found >= {
        "exponential-third",
        "exponential-slope",
        "section-5.1-eigenvalue-count",
        "query-orthogonal",
        "theorem-4-global",
        "theorem-8-global",
        "section-4.1-ill-conditioned",
        "summary-least-squares",
        "lemma-27-citations",
        "lemma-25-citation",
        "lemma-32-in-the-proofs",
        "lemma-26-equality",
        "corollary-16-line-ii",
    }


def test_rows_are_complete(tables: dict[str, pd.DataFrame]) -> None:
    table = tables["claims"]
    assert table["claim"].is_unique
    for column in ("source", "statement", "computed", "method", "verdict"):
        assert (table[column].str.len() > 0).all(), column
    assert set(table["verdict"]) <= {HOLDS, ONLY_IF, FAILS, UNDECIDED}
    assert np.isfinite(table["deviation"]).all()
    assert (table["problems"] >= 1).all()
    # A condition stands exactly where the verdict has one; what is right is said where the paper is not.
    assert ((table["condition"] != "") == (table["verdict"] == ONLY_IF)).all()
    assert ((table["correction"] != "") == (table["erratum"] | (table["expected"] != HOLDS))).all()


def test_every_number_says_how_it_was_obtained(tables: dict[str, pd.DataFrame]) -> None:
    evidence, numbers = tables["evidence"], tables["numbers"]
    for table in (evidence, numbers):
        assert set(table["obtained"]) <= set(get_args(Obtained))
    assert (numbers["smallest"] <= numbers["largest"]).all()
    # Monte Carlo, and nothing else, has n, a seed and a standard error.
    scores = evidence[evidence["measure"] == "z-score"]
    assert set(scores["claim"]) == {claim.name for claim in CLAIMS if claim.tests}
    assert (scores["obtained"] == "Monte Carlo").all()
    assert (scores["n"] > 1000).all()
    assert (scores["seed"] == 0).all()
    assert scores["relative_error"].between(0, 0.05, inclusive="neither").all()
    assert evidence.drop(scores.index)[["n", "seed", "relative_error"]].isna().all().all()


def test_same_seed_same_table_whatever_is_selected(table: pd.DataFrame) -> None:
    chosen = claims.check_claims(effort="quick", only=["lemma-3*", "Corollary 6", "equation-7"])["claims"]
    assert 4 < len(chosen) < len(table)
    expected = table[table["claim"].isin(chosen["claim"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(chosen, expected)


def test_every_claim_is_a_question_of_its_evidence(tables) -> None:
    answers = ask(QUESTIONS, tables)
    assert set(answers) == {"paper", "summary", "beyond", "recorded", *(claim.name for claim in CLAIMS)}
    held = (tables["claims"]["verdict"] == HOLDS).sum()
    assert sum(answers[origin].met for origin in ("paper", "summary", "beyond")) == held
    assert answers["recorded"].verdict is Verdict.CONFIRMED
    assert answers["query-orthogonal"].verdict is Verdict.IN_PART


@pytest.mark.parametrize(
    ("name", "part", "deviation", "verdict"),
    [
        ("lemma-9", "stated", 1.0, Verdict.REFUTED),
        ("lemma-9", "stated", 1e-7, Verdict.UNDECIDED),
        ("query-orthogonal", "under", 1.0, Verdict.REFUTED),
        ("query-orthogonal", "stated", 0.0, Verdict.CONFIRMED),
    ],
)
def test_a_moved_deviation_flips_the_verdict(tables, name, part, deviation, verdict) -> None:
    evidence = tables["evidence"].copy()
    evidence.loc[(evidence["claim"] == name) & (evidence["part"] == part), "deviation"] = deviation
    answers = ask(QUESTIONS, {**tables, "evidence": evidence})
    assert answers[name].verdict is verdict
    assert answers["recorded"].missed == 1


def test_slips_hold_only_under_a_condition(table: pd.DataFrame) -> None:
    assert set(table.loc[table["slip"], "verdict"]) == {ONLY_IF}


@pytest.mark.parametrize(("argument", "value"), [("effort", "qick"), ("seed", -1), ("only", "lema-9")])
def test_bad_input_is_one_sentence(argument: str, value: object) -> None:
    with pytest.raises(InvalidInputError) as error:
        claims.check_claims(**{argument: value})
    assert "must" in str(error.value)


# Negative controls: a wrong claim must come out as wrong, by the numbers.


def wrong_gamma(problem: Problem) -> np.ndarray:
    return (1 + 1 / problem.n) * problem.cov + problem.trace * np.eye(problem.d)


@pytest.mark.parametrize(
    ("names", "replace"),
    [
        # Γ without its 1/N in the trace term.
        (
            ("lemma-11", "corollary-16", "theorem-4-limit", "equation-12", "theorem-5-linear", "kernel-regression"),
            ("iclab.studies.claims.bench.Problem.gamma", property(wrong_gamma)),
        ),
        # Γ without the terms in 1/N.
        (
            ("equation-37", "equation-38", "equation-39", "equation-40"),
            ("iclab.studies.claims.appendix_a.written_gamma", lambda covariance, _: covariance),
        ),
        # A loss of the wrong sign.
        (
            ("lemma-18-initial-loss", "lemma-19-loss-bound", "lemma-15"),
            ("iclab.studies.claims.appendix_a.restricted_loss", lambda *given: -restricted_loss(*given)),
        ),
        # A layer trained on three times the covariance.
        (
            ("theorem-5-quadratic", "theorem-5-sampled", "corollary-6-exact", "equation-13"),
            (
                "iclab.studies.claims.bench.Problem.trained",
                property(lambda self: minimizer(Gaussian(3 * self.cov), self.n)),
            ),
        ),
        # The lower bounds without the factor 2√d in the denominator.
        (
            ("lemma-19",),
            ("iclab.studies.claims.appendix_a.u_lower_bound", lambda p: 30 * u_lower_bound(p)),
        ),
        (
            ("lemma-12-pl", "lemma-12-rate"),
            ("iclab.studies.claims.proof_ideas.pl_constant", lambda p: 1e5 * pl_constant(p)),
        ),
        # A learner twice too large.
        (
            ("equation-23", "section-4.2-exact-error"),
            (
                "iclab.theory.LSAParameters.learner",
                property(lambda self: 2 * (self.blocks[1] * self.blocks[2])),
            ),
        ),
    ],
)
def test_a_wrong_formula_flips_the_verdict(monkeypatch, names: tuple[str, ...], replace: tuple[str, object]) -> None:
    monkeypatch.setattr(*replace)
    by_name = {claim.name: claim for claim in CLAIMS}
    for name in names:
        row = by_name[name].row(find(**arguments(by_name[name], 0, "quick")))
        assert row["verdict"] in {FAILS, UNDECIDED}, (name, row["deviation"])
        assert not row["as_expected"]


def test_wrong_monte_carlo_claims_are_refuted_and_small_samples_left_open() -> None:
    draws = np.random.default_rng(0).exponential(size=40_000)
    large, small = Estimate.from_samples(draws, 0), Estimate.from_samples(draws[:50], 0)
    assert sampled([(large, 1.0)], 4.0).outcome is Outcome.CONFIRMED
    assert sampled([(large, 1.1)], 4.0).outcome is Outcome.REFUTED
    assert sampled([(small, 1.0)], 4.0).outcome is Outcome.OPEN
    assert sampled([(small, 1.3)], 4.0).outcome is Outcome.OPEN
    assert sampled([(small, 5.0)], 4.0).outcome is Outcome.REFUTED


@pytest.mark.slow
def test_monte_carlo_rows_keep_their_level() -> None:
    # |z| ≤ 2 in about 95 % of true tests: the rows' worst scores, each a maximum over few tests, must look like that.
    names = ("equation-7", "theorem-5-sampled", "corollary-6-exact", "figure-1-lsa-limit")
    scores = [
        claim.row(find(**arguments(claim, seed, "quick")))["deviation"]
        for claim in CLAIMS
        if claim.name in names
        for seed in range(3)
    ]
    assert sum(score > 3 for score in scores) <= 1  # probability of two or more: below 1 %
    assert max(scores) > 0.3  # and they are no fabricated zeros


@pytest.mark.parametrize(
    ("stated", "under", "verdict"),
    [
        ([1e-12], [], HOLDS),
        ([1.0], [], FAILS),
        ([1.0], [1e-12], ONLY_IF),
        ([1.0], [1.0], FAILS),
        ([1e-7], [], UNDECIDED),
        ([1.0], [1e-7], UNDECIDED),
        ([1e-12, 1.0], [], FAILS),
        ([1e-12, 1e-7], [], UNDECIDED),
        ([math.nan], [], UNDECIDED),
    ],
)
def test_verdicts_follow_from_deviations(stated: list[float], under: list[float], verdict: str) -> None:
    def evidence(deviation: float) -> Evidence:
        return equal([(1.0 + deviation, 1.0)])

    assert verdict_of([evidence(d) for d in stated], [evidence(d) for d in under]) == verdict


def test_evidence_of_nothing_decides_nothing() -> None:
    assert equal([]).outcome is Outcome.OPEN
    assert at_most([]).outcome is Outcome.OPEN
    assert verdict_of([]) == UNDECIDED


def test_inequalities_give_their_smallest_margin() -> None:
    evidence = at_most([(1.0, 2.0), ([3.0, 9.0], [4.0, 10.0])])
    assert evidence.margin == pytest.approx(0.1)
    assert evidence.outcome is Outcome.CONFIRMED
    assert at_most([(2.0, 1.0)]).outcome is Outcome.REFUTED
    assert at_most([(1.0, 1.0)]).outcome is Outcome.CONFIRMED
    assert at_most([(1.0, 1.0)], strict=True).outcome is Outcome.REFUTED
    assert positive([(0.2, 2.0)]).margin == pytest.approx(0.1)


def test_a_claim_must_announce_its_z_scores() -> None:
    estimate = Estimate(1.0, 0.01, 100, 0)

    def given(_: Bench):
        yield "mean", estimate, 1.0
        yield "mean", estimate, 1.0

    with pytest.raises(InvalidInputError, match="announce"):
        find(given, "unannounced", {"mean": {"sampled": 1}}, 0, "quick", 4.0)


def test_every_check_has_a_claim_of_its_own() -> None:
    for claims_ in ((*CLAIMS, CLAIMS[0]), CLAIMS[1:]):
        with pytest.raises(InvalidInputError, match=f"once; {CLAIMS[0].check.__name__} has none or several"):
            check_registry(claims_)


def test_the_critical_z_shares_the_level() -> None:
    # Bonferroni: the normal tail beyond it, both sides, over all tests, is the table's significance.
    tests = sum(claim.tests for claim in CLAIMS)
    tail = math.erfc(claims.critical_z(tests) / math.sqrt(2))
    assert tail * tests == pytest.approx(claims.SIGNIFICANCE, rel=1e-6)
