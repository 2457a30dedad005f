"""``incontext flow``."""


def flow() -> int:
    """X."""
    return 0
