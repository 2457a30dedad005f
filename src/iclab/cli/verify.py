"""``iclab verify``: the table of claims."""

from __future__ import annotations

import sys

from iclab.cli.arguments import Whole, listed


def verify(*, only: list[str] | None = None, seed: Whole = 0, effort: str = "full", json: bool = False) -> int:
    """Check every claim of the paper and print the table of verdicts, with the comparisons that decide them.

    Exits with 0 if every verdict is the one on record, with 1 otherwise.

    Parameters
    ----------
    only
        Names or sources of claims, in part or with * and ?, such as "lemma-*" or "Theorem 5". Repeat the option or
        separate by commas.
    seed
        Seed of all problems and samples; the same seed gives the same table.
    effort
        full, or quick for a quarter of the problems and two thirds of the samples.
    json
        Print a list of objects, one per claim, with its evidence and numbers, instead of a table.
    """
    from iclab.cli import EXIT_CHECK_FAILED
    from iclab.cli.progress import Reporter
    from iclab.studies import claims

    patterns = listed(only, "--only")
    with Reporter() as progress:
        tables = claims.check_claims(seed=seed, effort=effort, only=patterns or None, progress=progress)
    sys.stdout.write(claims.as_json(tables) if json else claims.as_text(tables, seed))
    return 0 if tables["claims"]["as_expected"].all() else EXIT_CHECK_FAILED
