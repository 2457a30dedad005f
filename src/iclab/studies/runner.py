"""Run studies into one folder that can be resumed.

The folder holds ``studies/`` (finished records), ``units/`` (finished pieces of work), ``runs/`` (trainings) and
``reproduction.json``, which says what the folder is. A record is written when its study is complete; whatever was
finished before an interruption is found again through ``units/`` and ``runs/``.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from iclab import __version__
from iclab.foundations import (
    InvalidInputError,
    check_choice,
    exclusive,
    read_json,
    remove_unfinished,
    require_writable,
    write_json,
)
from iclab.studies.executors import Here, Workplace
from iclab.studies.folder import Study, own_code, read_profile
from iclab.studies.lab import Lab, Progress
from iclab.studies.results import Results
from iclab.studies.store import storable
from iclab.studies.study import Record, ask, plain

_EVERYTHING = "all"
_MARKER = "reproduction.json"
_SECONDS_BETWEEN_NOTES = 5.0
_NAME = re.compile(r"\w[\w-]*")
_LIBRARIES = ("numpy", "scipy", "pandas", "scikit-learn", "matplotlib", "torch", "safetensors")


def choose(registry: Sequence[Study], only: Iterable[str]) -> list[Study]:
    """The studies named in ``only`` in the registry's order; those of the paper if none is named, "all" for every one.

    Raises
    ------
    InvalidInputError
        If a name is unknown, or a study needs torch and torch is not installed.
    """
    names = [study.name for study in registry]
    chosen = {check_choice(name, "part", (*names, _EVERYTHING)) for name in only}
    if _EVERYTHING in chosen:
        chosen = set(names)
    found = [study for study in registry if (study.name in chosen if chosen else study.paper)]
    training = [study.name for study in found if study.trains]
    if training and any(importlib.util.find_spec(library) is None for library in ("torch", "safetensors")):
        able = [study.name for study in registry if not study.trains]
        left = [name for name in able if name in chosen] or [s.name for s in registry if s.paper and not s.trains]
        raise InvalidInputError(
            f"{', '.join(training)} must train models and needs torch, which is not installed; install it with "
            f"`pip install -c constraints.txt '.[train]'`, or leave it out with `--only {','.join(left)}`."
        )
    return found


def run_study(study: Study, lab: Lab, profile: str, changes: Mapping[str, Any] | None = None) -> Record:
    """Measure, ask, and keep the record under ``studies/`` of the lab's folder.

    Raises
    ------
    InvalidInputError
        If a setting does not fit, the study measures no tables, or a question asks for what was not measured.
    """
    import pandas as pd

    settings = study.settings_of(profile, changes)
    with own_code(study.package, f"measure of {study.name} must return tables by name"):
        tables = study.measure(settings, lab)
    if not isinstance(tables, Mapping):
        raise InvalidInputError(
            f"measure of {study.name} must return tables by name; it returned {type(tables).__name__}."
        )
    for name, table in tables.items():
        # A table's name is that of its files.
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise InvalidInputError(
                f"the tables of {study.name} must have names of letters, digits, - and _; {name!r} is none."
            )
        if not isinstance(table, pd.DataFrame):
            raise InvalidInputError(
                f"measure of {study.name} must return tables by name; {name} is of type {type(table).__name__}."
            )
        if not table.columns.is_unique:
            raise InvalidInputError(
                f"the columns of {name} must differ in their names; they are {', '.join(map(str, table.columns))}."
            )
    with own_code(study.package, f"the questions of {study.name} must have answers"):
        answers = ask(study.questions, tables)
    record = Record(study.name, study.title, plain(asdict(settings)), tables, answers, study.code)
    with storable(f"every table of {study.name}"):
        record.save(lab.directory / "studies" / study.name)
    return record


def run_all(
    studies: Sequence[Study],
    profile: str,
    directory: Path,
    progress: Progress,
    *,
    registry: Sequence[Study] = (),
    workplace: Workplace = Here(),  # noqa: B008
    after: Callable[[Results], object] = lambda _: None,
    changes: Mapping[str, Any] | None = None,
) -> Results:
    """Run studies one after the other, reusing what is finished.

    Parameters
    ----------
    studies : sequence of Study
        What to run.
    profile : str
        Sizes.
    directory : Path
        A new folder, or one that an earlier call with the same profile began.
    progress : callable
        Called with (what is being done, done, total).
    registry : sequence of Study
        Studies whose finished records are looked for in the folder too, in the order of the report.
    workplace : Workplace
        Where work is done.
    after : callable
        Called with the results so far after every study.
    changes : mapping, optional
        Settings that differ from the profile's.

    Raises
    ------
    InvalidInputError
        If there is no such profile or setting, which leaves nothing behind, or the folder cannot be written, holds
        something else or another profile, or is in use.
    """
    minutes = read_profile(profile).get("minutes") or {}
    for study in studies:  # before a folder is claimed for what cannot be
        study.settings_of(profile, changes)
    directory = claim_directory(directory, profile)
    known = [*registry, *(study for study in studies if study not in registry)]
    with exclusive(directory):
        for folder in ("figures", "studies", "units"):
            remove_unfinished(directory / folder)
        pending = list(studies)
        found = dict(_finished(known, pending, directory, progress))

        def results() -> Results:
            """As of now."""
            finished = [(study, found[study]) for study in known if study in found]
            coming = [(study, minutes.get(study.name)) for study in pending]
            return Results(directory, provenance(profile, directory), finished, coming)

        for study in studies:
            clock = Clock(directory / _MARKER, study.name)

            def report(label: str, done: int, total: int, study: Study = study, clock: Clock = clock) -> None:
                clock.tick()
                progress(f"{study.name}: {label}", done, total)

            record = run_study(study, Lab(directory, report, workplace, study.package), profile, changes)
            clock.write()
            pending.remove(study)
            found[study] = record
            after(results())
        return results()


def _finished(
    known: Sequence[Study], but: Sequence[Study], directory: Path, progress: Progress
) -> list[tuple[Study, Record]]:
    """The records at hand of other studies than those that will run, but for those that other code measured."""
    found: list[tuple[Study, Record]] = []
    for study in known:
        folder = directory / "studies" / study.name
        if study in but or not (folder / "record.json").exists():
            continue
        record = Record.load(folder, study.code, study.questions)
        if record is None:
            progress(f"left out, measured by other code, --only {study.name} makes it anew", 0, 1)
        else:
            found.append((study, record))
    return found


def claim_directory(directory: Path, profile: str) -> Path:
    """Check that the folder is new, or results of this profile, and mark it as such."""
    directory = require_writable(directory)
    marker = directory / _MARKER
    if marker.exists():
        found = read_json(marker)
        earlier = found.get("profile") if isinstance(found, dict) else None
        if earlier != profile:
            raise InvalidInputError(
                f"{directory} must be a new folder or hold results of profile {profile}; it holds some of profile "
                f"{earlier or 'unknown'}, so choose another --directory."
            )
    elif any(not entry.name.startswith(".") and entry.name != "runs" for entry in directory.iterdir()):
        raise InvalidInputError(
            f"{directory} must be empty or hold earlier results; it holds other files, so choose another --directory."
        )
    else:
        write_json(marker, {"profile": profile, "version": __version__, "durations": {}})
    return directory


def provenance(profile: str, directory: Path) -> dict[str, Any]:
    """Versions, hardware, and how long each study took, for the end of the page."""
    return {
        "profile": profile,
        "version": __version__,
        "written": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "gpu": _gpu(),
        "libraries": {name: found for name in _LIBRARIES if (found := _installed(name))},
        "durations": read_json(directory / _MARKER).get("durations", {}),
    }


class Clock:
    """Time spent on a study, noted in the marker while it runs, so that a killed session counts too."""

    def __init__(self, marker: Path, study: str) -> None:
        self._marker, self._study = marker, study
        self._started = self._written = time.monotonic()
        content = read_json(marker)
        self._session = len(content.setdefault("durations", {}).setdefault(study, []))

    def tick(self) -> None:
        """Note the time if the last note is some seconds old."""
        if time.monotonic() - self._written > _SECONDS_BETWEEN_NOTES:
            self.write()

    def write(self) -> None:
        """Note the time."""
        self._written = time.monotonic()
        content = read_json(self._marker)
        sessions = content.setdefault("durations", {}).setdefault(self._study, [])
        sessions[self._session :] = [round(self._written - self._started, 1)]
        write_json(self._marker, content)


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def _gpu() -> str:
    if _installed("torch") is None:
        return "none"
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
