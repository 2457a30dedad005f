"""The command line: one thin file per verb, imported only when that verb runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from cyclopts import App
from cyclopts.exceptions import CycloptsError, UnusedCliTokensError

from iclab import __version__

EXIT_CHECK_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130

_TOO_LARGE = "the problem must fit into memory, which it does not; lower the dimension, the points or the prompts."

app = App(
    name="iclab",
    version=__version__,
    help="The laboratory for in-context learning of function classes by transformers.",
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
# What to do after an interruption; the other verbs keep nothing of an unfinished run.
_GO_ON = {
    "reproduce": "the same command goes on where it was",
    "study": "the same command goes on where it was",
    "sweep": "the same command goes on where it was",
    "train": "a training that had begun goes on with the same command and --resume",
}
# The help texts stand here so that `iclab --help` imports no verb.
for _verb, _help in {
    "verify": "Check every claim of the paper and print the table of verdicts.",
    "reproduce": "Verify, train, evaluate and draw the whole paper, and write one report.",
    "study": "Run a study by name or folder, or begin one of your own.",
    "sweep": "Train a grid of configurations, and judge all in one table.",
    "train": "Train a model from a configuration, or resume a run.",
    "evaluate": "Compare predictors at every context length, under every shift.",
    "flow": "Follow the gradient flow of a linear self-attention layer.",
    "exchange": "Convert models from and to other formats.",
}.items():
    app.command(f"iclab.cli.{_verb}:{_verb}", help=_help)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit: 0 done, 1 a check failed, 2 bad input, 130 interrupted."""
    sys.exit(_run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    try:
        result = app(arguments, exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except UnusedCliTokensError as error:
        unused = " ".join(error.unused_tokens or ())
        return _refuse(f"every argument must belong to the command; {unused!r} does not: see `iclab --help`.")
    except CycloptsError as error:
        return _refuse(" ".join(str(error).split()))
    except ValueError as error:
        from iclab.foundations import InvalidInputError  # numpy would double the time of --help

        # NumPy says so of arrays that no machine could address.
        if str(error).startswith(("array is too big", "Maximum allowed dimension")):
            return _refuse(_TOO_LARGE)
        if not isinstance(error, InvalidInputError):
            raise
        return _refuse(str(error))
    except MemoryError:
        return _refuse(_TOO_LARGE)
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            # The reader has gone (`iclab verify | head`): nothing more to say, and nothing is wrong.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        if error.strerror is None:
            raise
        return _refuse(f"{error.filename or 'a file'} could not be read or written: {error.strerror}.")
    except KeyboardInterrupt:
        verb = next(iter(sys.argv[1:] if arguments is None else arguments), "")
        sys.stderr.write(f"iclab: interrupted; {_GO_ON.get(verb, 'the same command begins anew')}.\n")
        return EXIT_INTERRUPTED
    return result if isinstance(result, int) else 0


def _refuse(sentence: str) -> int:
    sys.stderr.write(f"iclab: {sentence}\n")
    return EXIT_BAD_INPUT
