"""The first page: it renders whatever is finished, pictures first, and claims that do not hold before all others."""

from pathlib import Path

import pandas as pd
import pytest

from iclab.report import write_report
from iclab.studies import REGISTRY, first_page
from iclab.studies.lab import Lab
from iclab.studies.results import Results
from iclab.studies.study import Answer, Record, Verdict, ask, plain

SHARED = ("claim", "section")
STUDIES = {study.name: study for study in REGISTRY}
PROVENANCE = {
    "profile": "smoke",
    "version": "0",
    "written": "now",
    "python": "3",
    "platform": "here",
    "processor": "one",
    "cores": 1,
    "gpu": "none",
    "libraries": {},
    "durations": {},
}


def measured(name: str, folder: Path, **changes: object) -> Record:
    study = STUDIES[name]
    settings = study.settings_of("smoke", changes)
    tables = study.measure(settings, Lab(folder, lambda *_: None))
    shown = {key: getattr(settings, key) for key in settings.__dataclass_fields__}
    return Record(name, study.title, plain(shown), tables, ask(study.questions, tables))


pytestmark = pytest.mark.usefixtures("svg_alone")


@pytest.fixture(scope="module")
def records(tmp_path_factory) -> dict[str, Record]:
    folder = tmp_path_factory.mktemp("lab")
    rows = [
        ("lemma-9", "Section 1", "$x = 1$", "holds", ""),
        ("lemma-10", "Section 1", "$y = 2$", "does not hold", ""),
        ("lemma-11", "Section 2", "$z = 3$", "holds only if …", "z is three"),
    ]
    claims = pd.DataFrame(rows, columns=["claim", "section", "statement", "verdict", "condition"])
    claims = claims.assign(source="here", slip=False, erratum=False, correction="")
    evidence = pd.DataFrame(columns=[*SHARED, "part", "compared", "deviation", "tolerance", "margin", "problems"])
    evidence = evidence.assign(obtained="", relative_error=0.0, n=0.0)
    numbers = pd.DataFrame(columns=[*SHARED, "number"])
    answers = {q.name: Answer(Verdict.IN_PART, 1, 2) for q in STUDIES["claims"].questions}
    tables = {"claims": claims, "evidence": evidence, "numbers": numbers, "thresholds": thresholds()}
    return {
        "claims": Record("claims", "Claims", {"seed": 0, "effort": "quick"}, tables, answers),
        "gradient-flow": measured("gradient-flow", folder, n_times=20),
        "shifts": measured("shifts", folder, n_prompts=50, dimension=5),
    }


def thresholds() -> pd.DataFrame:
    names = ["exact_tolerance", "exact_refutation", "monte_carlo_tests", "significance", "critical_z", "resolution"]
    return pd.DataFrame([dict.fromkeys(names, 1.0)])


@pytest.fixture(scope="module")
def made() -> dict:
    """What pages share: each figure is drawn for the first of them."""
    return {}


@pytest.fixture
def page(records, made, tmp_path):
    """Writes the first page over some records."""

    def write(*names: str) -> str:
        finished = [(STUDIES[name], records[name]) for name in names]
        pending = [(study, 2.0) for study in REGISTRY if study.paper and study.name not in names]
        results = Results(tmp_path, PROVENANCE, finished, pending)
        return write_report(results, first=first_page(), made=made).read_text()

    return write


@pytest.mark.parametrize("names", [(), ("claims",), ("shifts",)])
def test_any_part_makes_a_page(page, names) -> None:
    text = page(*names)
    for name in ("gradient-flow", "shifts"):
        assert (f'id="{name}-overview"' in text) is (name in names)
        assert (f'href="{name}.html"' in text) is (name in names)
    assert ("Every claim of the paper</h2>" in text) is ("claims" in names)
    # What is not finished is announced.
    assert all((STUDIES[name].title in text.split("Still to come")[1]) for name in ("figure1", "initialisation"))


def test_pictures_come_before_questions_and_questions_before_claims(page) -> None:
    text = page("claims", "gradient-flow", "shifts")
    parts = ('id="gradient-flow-overview"', 'id="shifts-overview"', 'class="scroll answers"', "<details>")
    places = [text.index(part) for part in parts]
    assert places == sorted(places)


def test_claims_that_do_not_hold_come_first_and_formulas_are_set(page) -> None:
    folds = page("claims").split("<details>")[1:4]
    assert ["does not hold" in fold for fold in folds] == [True, True, False]
    assert all(condition in folds[0] for condition in ("z is three", "does not hold"))
    assert "Section 1: 1 of 2" in folds[1]
    assert "Section 2: 0 of 1" in folds[2]
    assert all("<math" in fold for fold in folds)
    assert "$" not in "".join(folds)
