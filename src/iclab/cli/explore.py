"""``iclab explore``: the explorer, on this machine alone."""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import Parameter

from iclab.cli.arguments import Whole


def explore(*, port: Whole = 0, browser: Annotated[bool, Parameter(negative="--no-browser")] = True) -> int:
    """Open the explorer: sliders over the theory, and a prompt whose labels you drag. Ctrl-C ends it.

    The page is served on 127.0.0.1 and needs no network. It needs `pip install 'iclab[explore]'`.

    Parameters
    ----------
    port
        Port of the page; a free one when omitted.
    browser
        Open the page in the browser; --no-browser prints its address only.
    """
    import socket
    import webbrowser

    from iclab.foundations import InvalidInputError

    if not 0 <= port <= 65535:
        raise InvalidInputError(f"--port must be between 0 and 65535; {port} was given.")
    from iclab.explore.serving import server

    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", port))
        except OSError:
            message = f"--port must be free on this machine; {port} is in use. Omit it and one is chosen."
            raise InvalidInputError(message) from None
        # Browsers that are faster than the server wait here instead of being refused.
        listening.listen()
        running = server()
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        sys.stdout.write(f"{address}\n")
        sys.stdout.flush()
        if browser:
            webbrowser.open(address)
        running.run(sockets=[listening])
    return 0
