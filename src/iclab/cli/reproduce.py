"""``iclab reproduce``: the whole paper, one command, one report."""

from __future__ import annotations

import sys
from pathlib import Path

from iclab.cli.arguments import listed


def reproduce(*, profile: str = "laptop", directory: Path = Path("reproduction"), only: list[str] | None = None) -> int:
    """Verify, train, evaluate and draw the whole paper, and write one report.

    Interrupt it at any moment; the same command goes on where it was and reuses what is finished. The exit code is 1
    if a claim's verdict is not the one on record.

    Parameters
    ----------
    profile
        Sizes: smoke (under two minutes), laptop (at most 25 minutes on two cores), paper (the paper's own; a GPU
        helps).
    directory
        Where the report, its figures, tables and trainings go.
    only
        Parts to run. Of the paper, and run unless others are named: claims, gradient-flow, initialisation, shifts,
        figure1. Beyond it, and run when named: figure1-d20, figure1-d20-columns, figure1-seeds, positions, depth,
        covariances, finite-data, tolerance, tolerance-d20, leaderboard, leaderboard-d10. "all" for every one. Repeat
        the option or separate by commas.
    """
    from iclab.cli import EXIT_CHECK_FAILED
    from iclab.cli.progress import Reporter
    from iclab.report import write_report
    from iclab.studies.profiles import get_profile
    from iclab.studies.reproduction import choose_parts, provenance
    from iclab.studies.reproduction import reproduce as run

    chosen = get_profile(profile)
    parts = choose_parts(listed(only, "--only"))
    with Reporter() as progress:
        records = run(chosen, directory, parts, progress)
        page = write_report(records, directory, provenance(chosen, directory), progress)
    sys.stdout.write(f"{page}\n")
    differing = [claim for record in records for claim in record.facts.get("disagreements", [])]
    if differing:
        sys.stderr.write(f"iclab: not the verdict on record: {', '.join(differing)}; see the report.\n")
        return EXIT_CHECK_FAILED
    return 0
