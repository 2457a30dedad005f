"""``incontext exchange``."""


def exchange() -> int:
    """X."""
    return 0
