"""Pages of studies, made of saved records and hand-written templates alone; no study is known here by name."""

from iclab.report.pages import FIRST_PAGE, write_report

__all__ = ["FIRST_PAGE", "write_report"]
