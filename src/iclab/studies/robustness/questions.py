"""What the study of robustness asks of its tables: intervals over seeds, each against a line."""

from iclab.studies.folder import questions_of

QUESTIONS = questions_of(globals())
