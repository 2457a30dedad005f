"""``iclab study``: run a study, ours or your own, or begin one."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from iclab.cli.arguments import Whole
from iclab.cli.output import say

study = App(name="study", help="Run a study by name or folder, or begin one of your own.")


@study.command
def new(folder: Path) -> int:
    """Write a working study into a new folder: measure.py, questions.py and page.md.j2.

    It trains tiny models in under a minute; change its grid, its question and its page.

    Parameters
    ----------
    folder
        Where to; it must not exist or be empty.
    """
    from iclab.studies.folder import write_example

    folder = write_example(folder)
    say(f"{folder}: run it with `iclab study run {shlex.quote(str(folder))}`.")
    return 0


@study.command
def run(
    name: str,
    *,
    profile: str = "laptop",
    directory: Path | None = None,
    set_: Annotated[tuple[str, ...], Parameter(name="--set", negative=(), show_default=False)] = (),
    workers: Whole | None = None,
    dask: str | None = None,
) -> int:
    """Run one study, and write its page.

    Interrupt it at any moment; the same command resumes where it stopped and reuses what is finished.

    Parameters
    ----------
    name
        A study that comes with the package, such as positions, or the folder of one of your own.
    profile
        Sizes: smoke, laptop or paper.
    directory
        Where results go: `reproduction` for a study of the package, FOLDER/results for one of your own, when omitted.
    set_
        Change a setting, as in --set n_prompts=100. Repeat the option for more.
    workers
        Processes at a time; as many as there are cores when omitted.
    dask
        A Dask cluster instead: an address, a scheduler file, or a YAML file for dask-jobqueue.
    """
    import joblib

    from iclab.cli.progress import Reporter
    from iclab.foundations import InvalidInputError, check_integer, user_path
    from iclab.report import write_report
    from iclab.studies import REGISTRY, open_folder
    from iclab.studies.executors import workplace
    from iclab.studies.runner import choose, run_all
    from iclab.training.reading import parse_value

    known = {study.name: study for study in REGISTRY}
    if name in known:
        [chosen] = choose(REGISTRY, [name])
        directory = directory or Path("reproduction")
    elif user_path(name).is_dir():
        chosen = open_folder(Path(name))
        directory = directory or user_path(name) / "results"
    else:
        raise InvalidInputError(
            f"a study must be one of {', '.join(known)}, or the folder of one; {name!r} is neither: make a folder with "
            f"`iclab study new {name}`."
        )
    changes = {}
    for change in set_:
        key, equals, value = change.partition("=")
        if not equals or not key:
            raise InvalidInputError(f"--set must be given as key=value; {change!r} was given.")
        changes[key] = parse_value(value)
    count = joblib.cpu_count() if workers is None else check_integer(workers, "--workers", minimum=1)
    with workplace(count, dask) as place, Reporter() as progress:
        results = run_all([chosen], profile, directory, progress, workplace=place, changes=changes)
        page = write_report(results, progress)
    say(page)
    return 0
