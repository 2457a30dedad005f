"""The main job: killed at any moment, it ends in the same numbers; what is finished is not done again."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import iclab.studies.record as record_module
from iclab.foundations import InvalidInputError
from iclab.studies.profiles import PROFILES, get_profile
from iclab.studies.record import StudyRecord
from iclab.studies.reproduction import PARTS, choose_parts, reproduce


def _command(directory):
    return [sys.executable, "-m", "iclab", "reproduce", "--profile", "smoke", "--directory", str(directory)]


def _tables(directory: Path) -> dict[str, pd.DataFrame]:
    paths = sorted((directory / "studies").rglob("*.parquet"))
    assert paths
    return {str(path.relative_to(directory)): pd.read_parquet(path) for path in paths}


def _same(one: Path, other: Path) -> None:
    ours, theirs = _tables(one), _tables(other)
    assert ours.keys() == theirs.keys()
    for name, table in ours.items():
        pd.testing.assert_frame_equal(table, theirs[name], check_exact=True, obj=name)
    for name in ("report.html", "reproduction.json"):
        assert (one / name).exists()


@pytest.mark.slow
def test_killed_again_and_again_it_ends_in_the_same_numbers(tmp_path):
    reference = tmp_path / "reference"
    started = time.monotonic()
    subprocess.run(_command(reference), check=True, capture_output=True)
    duration = time.monotonic() - started
    directory = tmp_path / "killed"
    rng = np.random.default_rng(0)
    kills = 0
    while True:
        process = subprocess.Popen(
            _command(directory), stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
        try:
            # Short lives first, so that every phase is hit; longer ones later, so that the job ends.
            process.communicate(timeout=rng.uniform(2, 4 + duration * (kills + 1) / 12))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            kills += 1
            assert kills < 60
            continue
        assert process.returncode == 0
        break
    assert kills >= 5
    _same(directory, reference)


@pytest.mark.slow
def test_killed_in_every_phase_it_goes_on_where_it_was(tmp_path):
    reference, directory = tmp_path / "reference", tmp_path / "killed"
    subprocess.run(_command(reference), check=True, capture_output=True)
    for phase in ("claims:", "initialisation:", "shifts:", "figure1: training", "figure1: testing", "report: drawing"):
        process = subprocess.Popen(
            _command(directory), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True, text=True
        )
        assert process.stderr is not None
        seen = next(line for line in process.stderr if line.startswith(phase))
        assert phase in seen
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert not (directory / "report.html").exists()
    subprocess.run(_command(directory), check=True, capture_output=True)
    _same(directory, reference)


@pytest.mark.slow
def test_a_finished_job_is_read_again_and_a_lost_page_is_drawn_again(tmp_path):
    subprocess.run(_command(tmp_path / "r"), check=True, capture_output=True)
    before = _tables(tmp_path / "r")
    page = tmp_path / "r" / "report.html"
    page.unlink()
    units = {path: path.stat().st_mtime_ns for path in (tmp_path / "r" / "units").iterdir()}
    subprocess.run(_command(tmp_path / "r"), check=True, capture_output=True)
    assert page.exists()
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "r" / "units").iterdir()} == units
    for name, table in _tables(tmp_path / "r").items():
        pd.testing.assert_frame_equal(table, before[name], check_exact=True)


def test_every_profile_sets_every_part():
    for profile in PROFILES.values():
        assert set(profile.parts) == set(PARTS)


def test_parts_run_in_their_order_whatever_the_order_asked():
    assert choose_parts(["shifts", "claims"]) == ["claims", "shifts"]
    assert choose_parts([]) == [name for name, part in PARTS.items() if part.paper]
    assert choose_parts(["all"]) == list(PARTS)


@pytest.mark.parametrize("name", ["", "Smoke", "labtop"])
def test_an_unknown_profile_is_refused(name):
    with pytest.raises(InvalidInputError, match="profile must be one of smoke, laptop, paper"):
        get_profile(name)


@pytest.mark.parametrize(("stamp", "value"), [("__version__", "0.0.1"), ("_studies", lambda: "others")])
def test_a_record_of_another_version_is_left_out_and_said_so(tmp_path, monkeypatch, stamp, value):
    monkeypatch.setattr(record_module, stamp, value)
    for name in ("claims", "shifts"):
        StudyRecord(name, name, {}, {}).save(tmp_path / "studies")
    monkeypatch.undo()
    StudyRecord("shifts", "shifts", {}, {}).save(tmp_path / "studies")
    (tmp_path / "reproduction.json").write_text('{"profile": "smoke", "version": "0.0.1", "durations": {}}')
    said = []
    records = reproduce(PROFILES["smoke"], tmp_path, [], lambda label, *_: said.append(label))
    assert [record.name for record in records] == ["shifts"]
    assert said == ["left out, made by another version, --only claims makes it anew"]
