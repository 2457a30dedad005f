"""``incontext train``."""


def train() -> int:
    """X."""
    return 0
