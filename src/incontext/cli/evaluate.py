"""``incontext evaluate``."""


def evaluate() -> int:
    """X."""
    return 0
