"""The one exception for input that cannot be honoured."""

from __future__ import annotations

# Longest sentence, in characters.
_LONGEST = 300


class InvalidInputError(ValueError):
    """Raised when an argument, a configuration or a file breaks a stated condition.

    The message is one sentence: what must hold, what was given, what to do. It is one line of at most 300 characters,
    whatever was given: control characters are replaced, and of a longer one the middle is left out. The command line
    prints it as it is and exits with code 2.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(one_line(str(message)))


def one_line(text: str) -> str:
    """A message as one line of at most 300 printable characters."""
    line = printable(" ".join(text.split()))
    if len(line) <= _LONGEST:
        return line
    head = (_LONGEST - 3) * 3 // 5
    return f"{line[:head]} … {line[head + 3 - _LONGEST :]}"


def printable(text: str) -> str:
    """Text without control characters, which a terminal would obey and which would break a line."""
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in text)
