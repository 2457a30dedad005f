"""The page holds what the records hold, opens offline, and is the same when drawn again."""

import base64
import re

import numpy as np
import pandas as pd
import pytest

from iclab.report import write_report
from iclab.report.cells import Interval, Measured, format_cell, table_of
from iclab.report.figures import figure1 as drawn_figure1
from iclab.report.page import PAPER
from iclab.report.words import Finding, words_of
from iclab.studies import claims, figure1, gradient_flow, shifts
from iclab.studies.record import StudyRecord
from iclab.studies.reproduction import PARTS
from iclab.studies.store import Store

PROVENANCE = {
    "profile": "smoke",
    "version": "0",
    "written": "2026-01-01 00:00 UTC",
    "python": "3",
    "platform": "here",
    "processor": "one",
    "cores": 1,
    "gpu": "none",
    "libraries": {"numpy": "2"},
    "durations": {"claims": [1.0, 2.0]},
}


def _quiet(*_):
    pass


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    folder = tmp_path_factory.mktemp("records")
    given = {"store": Store(folder / "units"), "progress": _quiet}
    table = claims.verify(only=["lemma-9", "section-5.1-eigenvalue-count", "lemma-30"])
    trained = figure1.run(
        runs=folder / "runs",
        dimension=2,
        n_train=(3, 4),
        max_context=6,
        preset="tiny",
        overrides={"steps": 2, "batch_size": 4, "n_evaluation": 4},
        n_prompts=50,
        **given,
    )
    further = StudyRecord(
        "beyond_one",
        "A question the paper leaves open",
        {"long": pd.DataFrame({"i": range(40), "mean": 0.5, "stderr": 0.0123}), "unseen": pd.DataFrame({"i": [1]})},
        {
            "settings": {"seed": 7, "training_seeds": [0, 1]},
            "sentences": ["One sentence <with> signs.", "Run `iclab <verb>` first."],
            "summary": ["Refuted: the guess.", "A number: 3."],
            "deviations": ["Smaller."],
            "captions": {"long": "Forty rows"},
        },
    )
    made = [
        StudyRecord("claims", "Every claim of the paper", {"claims": table}, claims.facts(table, 0, "standard")),
        gradient_flow.run(dimension=2, n_train=5, n_times=20, **given),
        shifts.run(dimension=2, n_train=6, n_prompts=64, **given),
        trained,
        further,
        StudyRecord("beyond_two", "Another question", {}, {"settings": {"seed": 0}}),
    ]
    for record in made:
        record.save(folder / "studies")
    return [StudyRecord.load(folder / "studies" / record.name) for record in made]


@pytest.fixture(scope="module")
def page(records, tmp_path_factory):
    return write_report(records, tmp_path_factory.mktemp("page"), PROVENANCE, _quiet)


def test_the_page_needs_nothing_from_outside(page):
    text = page.read_text()
    for kind, source in re.findall(r"<(img|script|link|iframe)[^>]*?(?:src|href)=\"([^\"]*)\"", text):
        assert source.startswith("data:image/svg+xml;base64,"), kind
    assert "@import" not in text
    assert "url(" not in text


def test_every_figure_lies_beside_the_page_and_in_it(page):
    text = page.read_text()
    figures = {path.name for path in (page.parent / "figures").iterdir()}
    assert figures == {
        f"{name}.{suffix}"
        for name in ("gradient-flow", "shifts", "figure1", "figure1-against-lsa")
        for suffix in ("svg", "pdf", "png")
    }
    for name in ("gradient-flow", "shifts", "figure1", "figure1-against-lsa"):
        svg = (page.parent / "figures" / f"{name}.svg").read_bytes()
        assert base64.b64encode(svg).decode() in text


def test_drawing_again_gives_the_same_bytes(records, page, tmp_path):
    again = write_report(records, tmp_path, PROVENANCE, _quiet)
    for name in ("report.html", "beyond-one.html", "beyond-two.html"):
        assert (tmp_path / name).read_bytes() == (page.parent / name).read_bytes()
    assert again == tmp_path / "report.html"
    for path in (page.parent / "figures").iterdir():
        assert path.read_bytes() == (tmp_path / "figures" / path.name).read_bytes(), path.name


def test_every_claim_and_verdict_is_on_the_page(records, page):
    text = page.read_text()
    table = records[0].tables["claims"]
    for row in table.itertuples():
        assert text.count(f"<b>{row.claim}</b>") == (1 if row.verdict == "holds" else 2)  # deviating ones lead as well
    assert text.count('<span class="badge good">holds</span>') == (table["verdict"] == "holds").sum()


def test_what_is_drawn_is_what_was_measured(records):
    record = records[3]
    panels, _ = drawn_figure1.draw(record)
    curves = record.tables["curves"]
    for ax, panel in zip(panels.figure.axes, curves["panel"].unique(), strict=True):
        lines = {
            line.get_color(): line for line in ax.lines if len(line.get_xdata()) > 1 and line.get_linestyle() == "-"
        }
        squares = curves[(curves["panel"] == panel) & (curves["predictor"] == "least squares")]
        drawn = lines["#000000"].get_ydata()
        np.testing.assert_allclose(drawn, squares["mean"].clip(lower=1e-4))
        assert ax.get_xlabel() or ax in panels.figure.axes[:2]


def test_untrained_positions_and_unlearned_models_are_named(records, page):
    models = records[3].tables["models"]
    assert not models["learned"].any()  # two steps teach nothing
    text = page.read_text()
    assert "0 of 4 transformers learned" in text
    assert "never trained" in text


def test_models_that_learned_nothing_decide_no_observation(records, page):
    observations = words_of(records[3]).observations
    assert {entry["verdict"] for entry in observations} == {"no model"}
    assert page.read_text().count('<span class="badge none">no model</span>') == 2 * len(observations)  # list and table


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.00012345, "0.0001234"),
        (-2.5, "−2.5"),
        (np.inf, "∞"),
        (20000.0, "20000"),
        (-3.0, "−3"),
        (np.nan, "–"),
        (pd.NA, "–"),
        ("x", "x"),
        (3, "3"),
    ],
)
def test_cells_read_as_numbers(value, shown):
    assert format_cell(value) == shown


def test_uncertainties_are_shown_with_their_numbers():
    frame = pd.DataFrame({"what": ["a"], "mean": [-0.34567], "stderr": [0.0123], "low": [0.1], "high": [np.inf]})
    table = table_of(frame)
    assert table.columns == ["what", "mean ± standard error", "interval"]
    assert table.numeric == [False, True, True]
    assert [format_cell(value) for value in table.rows[0]] == ["a", "−0.346 ± 0.012", "0.1 … ∞"]
    bounded = pd.DataFrame({"a": [0.5, 2.0], "a_low": [0.25, np.nan], "a_high": [1.0, np.nan], "b_low": [1.0, 1.0]})
    table = table_of(bounded)
    assert table.columns == ["a", "b_low"]
    assert table.numeric == [True, True]
    assert [[format_cell(value) for value in row] for row in table.rows] == [["0.5 (0.25 … 1)", "1"], ["2", "1"]]
    assert str(Measured(np.nan, 1.0)) == "–"
    assert str(Measured(1234.5, 25.0)) == "1234 ± 25"
    assert str(Measured(0.5, 0.0)) == "0.5"
    assert str(Interval(np.nan, np.nan)) == "–"


def test_a_study_beyond_the_paper_has_a_page_linked_both_ways(page):
    first, one, two = (
        (page.parent / name).read_text() for name in ("report.html", "beyond-one.html", "beyond-two.html")
    )
    assert 'href="beyond-one.html"' in first
    assert 'href="report.html"' in one
    assert 'href="beyond-two.html"' in one
    assert 'href="beyond-one.html"' in two
    assert "One sentence &lt;with&gt; signs." in one
    assert "One sentence" not in first
    assert "Run <code>iclab &lt;verb&gt;</code> first." in one
    assert "Smaller." in one
    assert "<code>iclab reproduce --profile smoke --only beyond-one</code> · seed 7; seeds of the training 0, 1" in one
    assert one.count("0.500 ± 0.012") == 40
    assert "<details><summary>Forty rows" in one  # folded


def _listed(text):
    return re.findall(r'<li><span class="badge \w+">([\w ]+)</span><span>(.*?) <a href="(.*?)">', text)


def test_the_first_page_lists_what_every_study_found_in_the_order_of_verdicts(records, page):
    listed = _listed(page.read_text().partition("Every finding")[2])
    expected = [finding for record in records for finding in words_of(record).findings]
    assert len(listed) == len(expected)
    kinds = [kind for kind, _, _ in listed]
    assert kinds == sorted(kinds, key=["confirmed", "in part", "refuted", "found", "undecided"].index)
    assert ("refuted", "The guess.", "beyond-one.html") in listed
    assert ("found", "A number: 3.", "beyond-one.html") in listed
    assert any(kind == "undecided" and "0 of 4 transformers" in text for kind, text, _ in listed)


def test_it_opens_with_one_line_for_every_subject(records, page):
    leads = _listed(page.read_text().partition("Every finding")[0])
    subjects = dict.fromkeys(record.name.partition("_")[0] for record in records if words_of(record).findings)
    assert len(leads) == len(set(subjects) - {"leaderboard"})
    # Of Figure 1, what all its records come to.
    told = [(kind, text) for kind, text, _ in leads if text.startswith("Figure 1")]
    assert told == [
        (
            "undecided",
            "Figure 1. No record holds a model that learned its task, so nothing can be said about any of them.",
        )
    ]


def test_the_kind_of_a_line_is_the_word_before_its_colon():
    assert Finding.of("In part: some.") == Finding("in part", "Some.")
    assert Finding.of("Depth: two layers.") == Finding("found", "Depth: two layers.")
    assert Finding.of("confirmed:") == Finding("found", "confirmed:")


def test_all_links_lead_somewhere(page):
    for path in page.parent.glob("*.html"):
        text = path.read_text()
        for link in re.findall(r'href="([^":]*)"', text):
            name, _, anchor = link.partition("#")
            target = path.parent / (name or path.name)
            if name.startswith("studies/"):
                continue  # the data lie beside the page of a reproduction
            assert target.exists(), link
            assert not anchor or f'id="{anchor}"' in target.read_text(), link


def test_the_first_page_holds_the_paper():
    assert set(PAPER) == {name.replace("-", "_") for name, part in PARTS.items() if part.paper}
