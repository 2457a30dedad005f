"""The page: figures and text from saved records only, so it can be redrawn without rerunning anything."""

from iclab.report.page import write_report

__all__ = ["write_report"]
