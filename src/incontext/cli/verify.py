"""``incontext verify``."""


def verify(*, json: bool = False) -> int:
    """X.

    Parameters
    ----------
    json
       Print json.
    """
    return 0
