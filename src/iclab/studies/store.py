"""Finished pieces of work, so that an interrupted study goes on where it was.

A study is split into units. Each unit's result is a table, kept under a key that hashes the unit's
configuration and the package version: the same question is never computed twice, and another
configuration or version never reuses a stale answer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iclab import __version__
from iclab.foundations import atomic_path

if TYPE_CHECKING:
    import pandas as pd


def digest(configuration: Mapping[str, Any]) -> str:
    """Short hash of a JSON-serialisable configuration and the package version."""
    text = json.dumps({"version": __version__, **configuration}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Store:
    """A folder of finished units.

    Parameters
    ----------
    directory : Path
        Where the tables are kept, one Parquet file per unit.
    """

    directory: Path

    def path(self, unit: str, configuration: Mapping[str, Any]) -> Path:
        """File of a unit; it exists exactly when the unit is finished."""
        return self.directory / f"{unit}-{digest(configuration)}.parquet"

    def table(self, unit: str, configuration: Mapping[str, Any], compute: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        """The table of a unit: read if it is finished, otherwise computed and written atomically.

        A file that cannot be read (a torn disk) counts as unfinished.
        """
        import pandas as pd
        import pyarrow as pa

        path = self.path(unit, configuration)
        if path.exists():
            try:
                return pd.read_parquet(path)
            except (OSError, pa.ArrowException):
                path.unlink()
        with atomic_path(path) as temporary:
            compute().to_parquet(temporary)
        return pd.read_parquet(path)
