"""The explorer as a server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from iclab.foundations import InvalidInputError

if TYPE_CHECKING:
    import uvicorn


def server() -> uvicorn.Server:
    """Return a server of the explorer, to be run on a socket that listens.

    Raises
    ------
    InvalidInputError
        If the extra ``explore`` is not installed.
    """
    try:
        import anywidget  # noqa: F401
        import marimo
        import uvicorn
    except ImportError as error:
        message = f"the explorer needs {error.name}, which is not installed: pip install 'iclab[explore]'."
        raise InvalidInputError(message) from None
    app = Path(__file__).with_name("app.py")
    asgi = marimo.create_asgi_app(include_code=False, quiet=True).with_app(path="", root=str(app)).build()
    return uvicorn.Server(uvicorn.Config(asgi, log_level="error"))
