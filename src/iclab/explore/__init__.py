"""The explorer: a local page of sliders over the theory, and a prompt whose labels can be dragged.

A *panel* is code with numbers to fill in and a picture of what it computes. The code that a panel shows is the code
that was run, so that a number on the page is what the library returns for the line beside it. ``iclab explore`` serves
the panels on this machine alone.
"""

from iclab.explore.panels import PANELS, Panel

__all__ = ["PANELS", "Panel"]
