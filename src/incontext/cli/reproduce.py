"""``incontext reproduce``."""


def reproduce() -> int:
    """X."""
    return 0
