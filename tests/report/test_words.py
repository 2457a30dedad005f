"""The sentences on claims follow from their table."""

import pandas as pd

from iclab.report.words import words_of
from iclab.studies.record import StudyRecord

ONLY_IF = "holds only if …"


def words(*rows):
    """rows: (source, verdict, condition, whether a slip, whether as expected)."""
    columns = ["source", "verdict", "condition", "slip", "as_expected"]
    table = pd.DataFrame(rows, columns=columns).assign(section="One", statement="A is B.", claim="name")
    facts = {"seed": 0, "monte_carlo_tests": 1, "significance": 0.001, "critical_z": 3.29}
    return words_of(StudyRecord("claims", "Claims", {"claims": table}, facts))


def test_slips_are_counted_among_what_holds_under_a_condition():
    found = words(
        ("Lemma 1", "holds", "", False, True),
        ("Lemma 2", ONLY_IF, "c", True, True),
        ("Lemma 3", ONLY_IF, "c", False, True),
        ("Lemma 4", "does not hold", "", True, True),  # refuted, so no slip of the kind that is counted
    )
    counts, refuted = found.findings
    assert counts.text == (
        "Of 4 statements of the paper 1 hold as they stand, 2 only under a condition "
        "(1 of them slips of citation, sign or wording), 1 not."
    )
    assert refuted.text == "What does not hold: Lemma 4: a is B."
    assert "All 4 verdicts equal those stored with the package." in found.paragraphs[0]


def test_only_what_the_paper_says_is_listed_as_refuted():
    found = words(
        ("Lemma 1", "holds", "", False, True), ("summary document, key results", "does not hold", "", False, True)
    )
    assert [finding.kind for finding in found.findings] == ["confirmed", "in part"]
    assert "1 statements of a summary of it 0 hold as they stand, 1 not" in found.findings[1].text


def test_verdicts_other_than_the_stored_ones_are_named():
    found = words(("Lemma 1", "does not hold", "", False, False))
    assert "Not the verdict stored with the package: name." in found.findings[0].text
