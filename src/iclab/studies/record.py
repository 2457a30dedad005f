"""What a study leaves behind: tables and facts, from which pages are drawn without rerunning anything."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iclab import __version__
from iclab.foundations import InvalidInputError, atomic_path, read_json, write_json

if TYPE_CHECKING:
    import pandas as pd


@cache
def _studies() -> str:
    """A digest of this room's code, which says what tables and facts hold; versions alone differ too seldom."""
    sources = sorted(Path(__file__).parent.rglob("*.py"))
    return sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]


@dataclass(frozen=True)
class StudyRecord:
    """Result of one study.

    Attributes
    ----------
    name : str
        Identifier, also the folder's name.
    title : str
        Heading on the page.
    tables : dict of DataFrame
        Tidy tables; figures are drawn from these alone.
    facts : dict
        JSON-serialisable numbers and sentences that the page prints: configuration, seeds, sample sizes,
        conclusions computed from the tables.
    """

    name: str
    title: str
    tables: dict[str, pd.DataFrame]
    facts: dict[str, Any] = field(default_factory=dict)

    def save(self, directory: Path) -> None:
        """Write ``record.json`` and every table as Parquet and CSV under ``directory / name``.

        Tables that an earlier record of this study left there, and this one lacks, are removed.
        """
        folder = Path(directory) / self.name
        earlier: list[str] = []
        with suppress(InvalidInputError):
            earlier = read_json(folder / "record.json")["tables"]
        for key, table in self.tables.items():
            with atomic_path(folder / f"{key}.parquet") as temporary:
                table.to_parquet(temporary)
            with atomic_path(folder / f"{key}.csv") as temporary:
                table.to_csv(temporary, index=False)
        # Last: a folder with a record is complete.
        write_json(
            folder / "record.json",
            {
                "version": __version__,
                "studies": _studies(),
                "name": self.name,
                "title": self.title,
                "tables": list(self.tables),
                "facts": self.facts,
            },
        )
        for key in set(earlier) - set(self.tables):
            for ending in ("parquet", "csv"):
                (folder / f"{key}.{ending}").unlink(missing_ok=True)

    @classmethod
    def load(cls, folder: Path) -> StudyRecord | None:
        """Read what ``save`` wrote into ``folder``; None if other studies than these did, whose tables may differ."""
        import pandas as pd

        content = read_json(Path(folder) / "record.json")
        if (content.get("version"), content.get("studies")) != (__version__, _studies()):
            return None
        tables = {key: pd.read_parquet(Path(folder) / f"{key}.parquet") for key in content["tables"]}
        return cls(content["name"], content["title"], tables, content["facts"])
