"""``iclab verify``: what it prints, and how it exits."""

import json
import subprocess
import sys

import pytest

from iclab.cli import main
from iclab.studies.claims import CLAIMS

FEW = "lemma-9,lemma-3*,query-orthogonal,lemma-19"


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["verify", *arguments])
    return int(stop.value.code or 0)


def test_json_is_a_list_of_claims(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--only", FEW, "--effort", "quick", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == 8
    for row in rows:
        assert {"claim", "source", "method", "deviation", "verdict", "computed", "statement", "margin"} <= set(row)
        assert isinstance(row["deviation"], float)
        assert row["as_expected"] is True
        assert row["deviation"] in [piece["deviation"] for piece in row["evidence"]]
    by_name = {row["claim"]: row for row in rows}
    assert by_name["query-orthogonal"]["verdict"].startswith("holds only if")
    assert "eigenvector" in by_name["query-orthogonal"]["condition"]
    assert by_name["lemma-9"]["margin"] is None
    assert 0 < by_name["lemma-19"]["margin"] < 1


def test_table_names_verdicts_and_counts(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert run("--only", FEW, "--effort", "quick") == 0
    captured = capsys.readouterr()
    for text in ("lemma-9", "Appendix D", "holds only if", "8 claims, seed 0", "every verdict is the one on record."):
        assert text in captured.out
    assert "\x1b[" not in captured.out  # no colours in a pipe
    assert "claims" in captured.err  # progress


def test_a_wrong_verdict_exits_with_1(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iclab.studies.claims.appendix_a.u_lower_bound", lambda problem: 1e3)
    assert run("--only", "lemma-19", "--effort", "quick") == 1
    assert "not as on record: lemma-19" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    "arguments",
    [
        ("--only", "lema-9"),
        ("--only", ""),
        ("--only", " , "),
        ("--only=",),
        ("--effort", "fast"),
        ("--seed", "-1"),
        ("--seed", "x"),
        ("--sed", "1"),
    ],
)
def test_bad_input_exits_with_2_and_one_sentence(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("iclab: ")
    assert captured.out == ""


def test_selection_by_source(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--only", "Corollary 22", "--json", "--effort", "quick") == 0
    assert [row["claim"] for row in json.loads(capsys.readouterr().out)] == ["corollary-22"]


def test_a_process_loads_no_torch() -> None:
    code = (
        "import sys\n"
        "from iclab.cli import main\n"
        "try:\n"
        "    main(['verify', '--only', 'lemma-31', '--effort', 'quick'])\n"
        "except SystemExit as stop:\n"
        "    assert stop.code == 0, stop.code\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "lemma-31" in done.stdout


def test_names_are_what_a_shell_can_type() -> None:
    assert all(claim.name.replace("-", "").replace(".", "").isalnum() for claim in CLAIMS)
