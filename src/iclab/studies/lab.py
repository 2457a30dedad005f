"""Where a study measures: it keeps what is finished, and does the rest here, in processes or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from iclab.foundations import InvalidInputError, user_path
from iclab.studies.executors import Here, Task, Workplace
from iclab.studies.store import Store, Unit

if TYPE_CHECKING:
    import pandas as pd

    from iclab.studies.trainings import Job, Threshold, TrainingConfig

# Gets what is being done, how much of it is done, and how much there is.
Progress: TypeAlias = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Lab:
    """What a study needs in order to measure.

    Attributes
    ----------
    directory : Path
        Folder of the results: ``units/`` and ``runs/`` are in it.
    progress : callable
        Called with (what is being done, done, total).
    workplace : Workplace
        Where work is done.
    package : str
        Folder of the study, for processes that must load it.
    """

    directory: Path
    progress: Progress
    workplace: Workplace = field(default_factory=Here)
    package: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "directory", user_path(self.directory))

    @property
    def runs(self) -> Path:
        """Folder of the trainings."""
        return self.directory / "runs"

    @property
    def store(self) -> Store:
        """Finished units."""
        return Store(self.directory / "units")

    def table(self, function: Callable[..., pd.DataFrame], label: str = "", **arguments: Any) -> pd.DataFrame:
        """The table of one unit: read if it is finished, else computed."""
        return self.tables([Unit(function, arguments, label)])[0]

    def tables(self, units: Sequence[Unit], label: str = "measuring") -> list[pd.DataFrame]:
        """The tables of units, in their order; those that are not finished are computed, some at a time.

        Parameters
        ----------
        units : sequence of Unit
            What is wanted.
        label : str
            What is reported while they are computed.

        Raises
        ------
        Exception
            What a unit raised; finished ones are kept.
        """
        outcomes = self.outcomes(units, label, stop=True)
        return [_present(outcome, unit) for outcome, unit in zip(outcomes, units, strict=True)]

    def outcomes(self, units: Sequence[Unit], label: str, *, stop: bool = False) -> list[pd.DataFrame | BaseException]:
        """As ``tables``, but what a unit raised stands in place of its table, unless one is to ``stop`` the others."""
        outcomes: list[Any] = [self.store.find(unit) for unit in units]
        missing = [i for i, table in enumerate(outcomes) if table is None]
        tasks = [Task(_kept, (self.store, units[i]), self.package) for i in missing]
        done = len(units) - len(missing)

        def report(index: int, outcome: Any) -> None:
            nonlocal done
            if stop and isinstance(outcome, BaseException):
                raise outcome
            done += 1
            outcomes[missing[index]] = outcome
            self.progress(f"{label}: {units[missing[index]].name}", done, len(units))

        if tasks:
            self.progress(f"{label}: {units[missing[0]].name}", done, len(units))
            place = self.workplace if len(tasks) > 1 else Here()
            place.run(tasks, report, lambda: None)
        return [
            _present(self.store.find(unit), unit) if outcome is None else outcome
            for unit, outcome in zip(units, outcomes, strict=True)
        ]

    def rows(self, units: Sequence[Unit], label: str = "measuring") -> pd.DataFrame:
        """One table with the rows of all units, in their order, and the columns that units add to theirs."""
        import pandas as pd

        tables = zip(units, self.tables(units, label), strict=True)
        return pd.concat([table.assign(**unit.columns) for unit, table in tables], ignore_index=True)

    def named_tables(self, units: Sequence[Unit], label: str = "measuring") -> dict[str, pd.DataFrame]:
        """Tables by name, of units that name their table, or return several in one, as ``store.several`` has them.

        Columns that a table does not have are left out, and the rows of all units stand in their order.
        """
        import pandas as pd

        parts: dict[str, list[pd.DataFrame]] = {}
        for unit, whole in zip(units, self.tables(units, label), strict=True):
            if unit.table:
                parts.setdefault(unit.table, []).append(whole.assign(**unit.columns))
                continue
            for name, rows in whole.groupby("table", sort=False):
                own = rows.drop(columns="table").dropna(axis="columns", how="all")
                parts.setdefault(str(name), []).append(own.assign(**unit.columns))
        return {name: pd.concat(frames, ignore_index=True) for name, frames in parts.items()}

    def job(self, label: str, name: str, config: TrainingConfig, until: Threshold | None = None) -> Job:
        """A training that this lab keeps: what is reported of it, and its run's name before a digest of what it is."""
        from iclab.studies.trainings import Job, digest

        return Job(f"training: {label}", config, self.runs / f"{name}-{digest(config.as_dict())}", until)

    def train(self, jobs: Sequence[Job]) -> None:
        """Do every training, some at a time; resume those that were interrupted."""
        from iclab.studies.trainings import train_all

        train_all(jobs, self)


def _kept(store: Store, unit: Unit) -> None:
    """Compute a unit where its table is kept."""
    if store.find(unit) is None:
        store.keep(unit, unit.compute())


def _present(table: pd.DataFrame | BaseException | None, unit: Unit) -> pd.DataFrame:
    if table is None or isinstance(table, BaseException):
        raise InvalidInputError(
            f"a finished table must stay, and that of {unit.name} is gone: run the same command again."
        )
    return table
