"""What a folder of results holds, for those who make pages of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from iclab.studies.folder import Study
from iclab.studies.study import Record


@dataclass(frozen=True)
class Results:
    """Finished studies of a folder, and what is still to come.

    Attributes
    ----------
    directory : Path
        The folder.
    provenance : mapping
        Profile, versions, hardware, and how long each study took.
    finished : list of (Study, Record)
        Complete studies.
    pending : list of (Study, float or None)
        Studies asked for that are not finished, in the order in which they will be, and how many minutes each takes on
        the machine that the profile's file names.
    """

    directory: Path
    provenance: Mapping[str, Any]
    finished: Sequence[tuple[Study, Record]]
    pending: Sequence[tuple[Study, float | None]] = field(default_factory=list)
