"""The main job: every part of the paper, from claims to Figure 1, into one folder that can be resumed.

The folder holds ``studies/`` (finished records), ``units/`` (finished pieces of work), ``runs/``
(trainings) and ``reproduction.json``, which says what the folder is. A record is written when its study is
complete; whatever was finished before an interruption is found again through ``units/`` and ``runs/``.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
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
from iclab.studies.profiles import Profile
from iclab.studies.record import StudyRecord
from iclab.studies.store import Store

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Part:
    """A study as a part of the job.

    Attributes
    ----------
    module : str
        Where its ``run`` is; imported when the part runs.
    paper : bool
        Whether it belongs to the paper and runs unless others are named; what goes beyond runs when named.
    trains : bool
        Whether it trains models: it needs torch, and is told where its runs live.
    settings : mapping
        What ``run`` is given whatever the profile, for a module that is several parts.
    """

    module: str
    paper: bool = True
    trains: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)


PARTS: Mapping[str, Part] = {
    "claims": Part("iclab.studies.claims"),
    "gradient-flow": Part("iclab.studies.gradient_flow"),
    "initialisation": Part("iclab.studies.initialisation"),
    "shifts": Part("iclab.studies.shifts"),
    "figure1": Part("iclab.studies.figure1", trains=True),
    "figure1-d20": Part(
        "iclab.studies.figure1",
        paper=False,
        trains=True,
        settings={"name": "figure1_d20", "reuse": True},
    ),
    "figure1-d20-columns": Part(
        "iclab.studies.figure1",
        paper=False,
        trains=True,
        settings={"name": "figure1_d20_columns", "reuse": True},
    ),
    "figure1-seeds": Part(
        "iclab.studies.figure1",
        paper=False,
        trains=True,
        settings={"name": "figure1_seeds"},
    ),
    "positions": Part("iclab.studies.positions", paper=False, trains=True),
    "covariances": Part("iclab.studies.covariances", paper=False, trains=True),
    "finite-data": Part("iclab.studies.finite_data", paper=False, trains=True),
    "depth": Part("iclab.studies.depth", paper=False),
    "tolerance": Part("iclab.studies.tolerance", paper=False, trains=True),
    "tolerance-d20": Part(
        "iclab.studies.tolerance",
        paper=False,
        trains=True,
        settings={"name": "tolerance_d20", "reuse": True},
    ),
    "leaderboard": Part("iclab.studies.leaderboard", paper=False, trains=True),
    "leaderboard-d10": Part(
        "iclab.studies.leaderboard", paper=False, trains=True, settings={"name": "leaderboard_d10"}
    ),
}
_EVERYTHING = "all"
_MARKER = "reproduction.json"
_SECONDS_BETWEEN_NOTES = 5.0
_LIBRARIES = ("numpy", "scipy", "pandas", "scikit-learn", "matplotlib", "torch", "safetensors")


def choose_parts(only: Iterable[str]) -> list[str]:
    """The parts named in ``only`` in their order of work; those of the paper if none is named, "all" for every one.

    Raises
    ------
    InvalidInputError
        If a name is unknown, or a part needs torch and torch is not installed.
    """
    chosen = {check_choice(name, "part", (*PARTS, _EVERYTHING)) for name in only}
    if not chosen:
        chosen = {name for name, part in PARTS.items() if part.paper}
    elif _EVERYTHING in chosen:
        chosen = set(PARTS)
    training = [name for name in PARTS if name in chosen and PARTS[name].trains]
    without_torch = importlib.util.find_spec("torch") is None or importlib.util.find_spec("safetensors") is None
    if without_torch and training:
        able = [name for name, part in PARTS.items() if not part.trains]
        left = [name for name in able if name in chosen] or [name for name in able if PARTS[name].paper]
        raise InvalidInputError(
            f"{', '.join(training)} must train models and needs torch, which is not installed; install it with "
            f"`pip install -c constraints.txt '.[train]'`, or leave it out with `--only {','.join(left)}`."
        )
    return [name for name in PARTS if name in chosen]


def reproduce(profile: Profile, directory: Path, parts: Iterable[str], progress: Progress) -> list[StudyRecord]:
    """Run the chosen parts, reusing what is finished, and return every record of this version that the folder holds.

    Parameters
    ----------
    profile : Profile
        Sizes.
    directory : Path
        A new folder, or one that an earlier reproduction with the same profile began.
    parts : iterable of str
        Names from ``PARTS``.
    progress : callable
        Called with (what is being done, done, total).

    Raises
    ------
    InvalidInputError
        If the folder cannot be written, holds something else or another profile, or is in use.
    """
    directory = claim_directory(directory, profile)
    with exclusive(directory):
        for folder in ("figures", "studies", "units"):
            remove_unfinished(directory / folder)
        store = Store(directory / "units")
        for part in parts:
            clock = _Clock(directory / _MARKER, part)
            settings = {**PARTS[part].settings, **profile.parts[part]}
            if PARTS[part].trains:
                settings["runs"] = directory / "runs"

            def report(label: str, done: int, total: int, part: str = part, clock: _Clock = clock) -> None:
                clock.tick()
                progress(f"{part}: {label}", done, total)

            record = importlib.import_module(PARTS[part].module).run(**settings, store=store, progress=report)
            record.save(directory / "studies")
            clock.write()
        return _records(directory / "studies", progress)


def _records(directory: Path, progress: Progress) -> list[StudyRecord]:
    """The finished records, but for those that another version of the package made: their tables are others."""
    present = [part for part in PARTS if (directory / part.replace("-", "_") / "record.json").exists()]
    records: list[StudyRecord] = []
    for i, part in enumerate(present):
        record = StudyRecord.load(directory / part.replace("-", "_"))
        if record is None:
            progress(f"left out, made by another version, --only {part} makes it anew", i, len(present))
        else:
            records.append(record)
    return records


def claim_directory(directory: Path, profile: Profile) -> Path:
    """Check that the folder is new, or a reproduction of this profile, and mark it as such."""
    directory = require_writable(directory)
    marker = directory / _MARKER
    if marker.exists():
        found = read_json(marker)
        earlier = found.get("profile") if isinstance(found, dict) else None
        if earlier != profile.name:
            raise InvalidInputError(
                f"{directory} must be a new folder or a reproduction with profile {profile.name}; it holds one with "
                f"profile {earlier or 'unknown'}, so choose another --directory."
            )
    elif any(not entry.name.startswith(".") and entry.name != "runs" for entry in directory.iterdir()):
        raise InvalidInputError(
            f"{directory} must be empty or an earlier reproduction; it holds other files, so choose another "
            "--directory."
        )
    else:
        write_json(marker, {"profile": profile.name, "version": __version__, "durations": {}})
    return directory


def provenance(profile: Profile, directory: Path) -> dict[str, Any]:
    """Versions, hardware, and how long each part took, for the end of the page."""
    return {
        "profile": profile.name,
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


class _Clock:
    """Time spent on a part, noted in the marker while it runs, so that a killed session counts too."""

    def __init__(self, marker: Path, part: str) -> None:
        self._marker, self._part = marker, part
        self._started = self._written = time.monotonic()
        content = read_json(marker)
        self._session = len(content.setdefault("durations", {}).setdefault(part, []))

    def tick(self) -> None:
        """Note the time if the last note is some seconds old."""
        if time.monotonic() - self._written > _SECONDS_BETWEEN_NOTES:
            self.write()

    def write(self) -> None:
        """Note the time."""
        self._written = time.monotonic()
        content = read_json(self._marker)
        sessions = content.setdefault("durations", {}).setdefault(self._part, [])
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
