"""The study that ``iclab study new`` writes: a small grid of trainings, one question, one figure, one page."""
