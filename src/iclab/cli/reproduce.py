"""``iclab reproduce``: the whole paper, one command, one report."""

from __future__ import annotations

import sys
from pathlib import Path

from iclab.cli.arguments import listed
from iclab.cli.output import say
from iclab.studies import REGISTRY


def reproduce(
    *,
    profile: str = "laptop",
    directory: Path = Path("reproduction"),
    only: list[str] | None = None,
    workers: int | None = None,
) -> int:
    """Verify, train, evaluate and draw the whole paper, and write one report.

    The report is there after the first study and grows with each. Interrupt it at any moment: the same command resumes
    and reuses what is finished. The exit code is 1 if a claim's verdict is not the one on record.

    Parameters
    ----------
    profile
        Sizes: smoke, laptop, paper (the paper's own; a GPU helps).
    directory
        Where the report, its figures, tables and trainings go.
    only
        Studies to run. Of the paper, and run unless others are named: {paper}. Beyond it, and run when named: {beyond}.
        "all" stands for every one. Repeat the option or separate names by commas.
    workers
        Processes at a time; as many as there are cores when omitted.
    """
    import joblib

    from iclab.cli import EXIT_CHECK_FAILED
    from iclab.cli.progress import Reporter
    from iclab.foundations import check_choice, check_integer
    from iclab.report import write_report
    from iclab.studies import first_page
    from iclab.studies.executors import workplace
    from iclab.studies.folder import PROFILE_NAMES
    from iclab.studies.runner import choose, run_all

    check_choice(profile, "profile", PROFILE_NAMES)
    parts = choose(REGISTRY, listed(only, "--only"))
    count = joblib.cpu_count() if workers is None else check_integer(workers, "--workers", minimum=1)
    made: dict = {}  # type: ignore[type-arg]
    with Reporter() as progress, workplace(count) as place:
        results = run_all(
            parts,
            profile,
            directory,
            progress,
            registry=REGISTRY,
            workplace=place,
            after=lambda results: write_report(results, first=first_page(), made=made),
        )
        page = write_report(results, progress, first_page(), made)
    say(page)
    differing = [name for _, record in results.finished for name in disagreements(record.tables)]
    if differing:
        sys.stderr.write(f"iclab: not the verdict on record: {', '.join(differing)}; see the report.\n")
        return EXIT_CHECK_FAILED
    return 0


# The names in the help are the registry's own.
reproduce.__doc__ = (reproduce.__doc__ or "").format(
    paper=", ".join(study.name for study in REGISTRY if study.paper),
    beyond=", ".join(study.name for study in REGISTRY if not study.paper),
)


def disagreements(tables: object) -> list[str]:
    """Claims whose verdict is not the one on record."""
    import pandas as pd

    table = tables.get("claims") if isinstance(tables, dict) else None
    if not isinstance(table, pd.DataFrame) or "as_expected" not in table:
        return []
    return [str(name) for name in table.loc[~table["as_expected"], "claim"]]
