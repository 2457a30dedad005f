"""The one exception for input that cannot be honoured."""

from __future__ import annotations


class InvalidInputError(ValueError):
    """Raised when an argument, a configuration or a file breaks a stated condition.

    The message is one sentence: what must hold, what was given, what to do. The command line prints it
    as it is and exits with code 2.
    """
