"""The command line: one thin file per verb, imported only when that verb runs."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence

from cyclopts import App, Parameter
from cyclopts.exceptions import CycloptsError, UnusedCliTokensError

from iclab import __version__

EXIT_CHECK_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130

_TOO_LARGE_SIGNS = ("array is too big", "Maximum allowed dimension", "can't allocate memory", "out of memory")
_TOO_LARGE = "the problem must fit into memory, which it does not; lower the dimension, the points or the prompts."

app = App(
    name="iclab",
    version=__version__,
    help="The laboratory for in-context learning of function classes by transformers.",
    default_parameter=Parameter(negative=()),
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
# What to do after an interruption; the other verbs keep nothing of an unfinished run.
_GO_ON = {
    "reproduce": "the same command resumes where it stopped",
    "study": "the same command resumes where it stopped",
    "sweep": "the same command resumes where it stopped",
    "train": "the same command with --resume resumes a training that had begun",
}
# These lines stand here so that `iclab --help` imports no verb; the help of a verb is its docstring.
_LINES = {
    "verify": "Check every claim of the paper and print the table of verdicts.",
    "reproduce": "Verify, train, evaluate and draw the whole paper, and write one report.",
    "study": "Run a study by name or folder, or begin one of your own.",
    "sweep": "Train a grid of configurations, and evaluate all in one table.",
    "train": "Train a model from a configuration, or resume a run.",
    "evaluate": "Compare predictors at every context length, under every shift.",
    "inspect": "Look inside a model, and write a page on it.",
    "flow": "Follow the gradient flow of a linear self-attention layer.",
    "explore": "Open the explorer: sliders over the theory, and a prompt to drag.",
    "exchange": "Convert models from and to other formats.",
}
for _verb, _line in _LINES.items():
    app.command(f"iclab.cli.{_verb}:{_verb}", help=_line)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit: 0 done, 1 a check failed, 2 bad input, 130 interrupted."""
    # A notebook's backend does not exist here, and an unknown one keeps matplotlib from being imported.
    os.environ["MPLBACKEND"] = "agg"
    # Threads that spin while they wait take the cores from whatever else runs: a step took up to thirty times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from iclab.cli.output import tolerant_streams

    with tolerant_streams() as shown:
        code = _run([_at_home(each) for each in (sys.argv[1:] if arguments is None else arguments)])
        if not shown and code == 0:
            sys.stderr.write("iclab: standard output is closed, so the result was not shown.\n")
    sys.exit(code)


def _at_home(argument: str) -> str:
    """An argument with ~ as the home folder, also behind an option's =, where shells leave it alone."""
    option, equals, value = argument.partition("=") if argument.startswith("--") else ("", "", argument)
    home = value == "~" or value.startswith("~/")
    return f"{option}{equals}{os.path.expanduser(value)}" if home else argument


def _run(arguments: Sequence[str]) -> int:
    try:
        if arguments and arguments[0] in _LINES:
            command = app[arguments[0]]
            command.help = getattr(command.default_command, "__doc__", None) or command.help
        result = app(arguments, exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except KeyboardInterrupt:
        from iclab.cli.processes import started_here

        if started_here():
            return EXIT_INTERRUPTED
        verb = next(iter(arguments), "")
        sys.stderr.write(f"iclab: interrupted; {_GO_ON.get(verb, 'the same command begins anew')}.\n")
        return EXIT_INTERRUPTED
    except Exception as error:
        if os.environ.get("ICLAB_TRACEBACK"):
            raise
        from iclab.foundations.errors import one_line

        sys.stderr.write(f"iclab: {one_line(_told(error))}\n")
        return EXIT_BAD_INPUT
    return result if isinstance(result, int) else 0


def _told(error: Exception) -> str:
    """What went wrong, as one sentence."""
    from iclab.foundations import InvalidInputError  # numpy would double the time of --help

    if isinstance(error, InvalidInputError):
        return str(error)
    if isinstance(error, UnusedCliTokensError):
        unused = " ".join(error.unused_tokens or ())
        return f"every argument must belong to the command; {unused!r} does not: see `iclab --help`."
    if isinstance(error, CycloptsError):
        return str(error)
    # NumPy says so of arrays that no machine could address, torch of its own.
    if isinstance(error, (MemoryError, OverflowError)) or any(part in str(error) for part in _TOO_LARGE_SIGNS):
        return _TOO_LARGE
    if isinstance(error, OSError) and error.strerror is not None:
        return f"{error.filename or 'a file'} could not be read or written: {error.strerror}."
    place = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"this failed with an unexpected error ({type(error).__name__} in {os.path.basename(place.filename)}, line "
        f"{place.lineno}): set ICLAB_TRACEBACK=1 to see the traceback, and please report it."
    )
