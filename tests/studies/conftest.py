"""A small study of one's own, in a folder of its own."""

import textwrap

import pytest

from iclab.studies import REGISTRY
from iclab.studies.lab import Lab

MEASURE = """
from dataclasses import dataclass

import numpy as np
import pandas as pd

from iclab.predictors import Averaging
from iclab.prompts import Gaussian, Linear, PromptDistribution
from iclab.studies.store import Unit

TITLE = "Errors of averaging"
FACTOR = 1.0


@dataclass(frozen=True)
class Settings:
    n_prompts: int = 50
    lengths: tuple[int, ...] = (2, 3)


def error(predictor, length, n_prompts):
    prompts = PromptDistribution(Gaussian.isotropic(2), Linear()).sample(n_prompts, length + 1, seed=0)
    errors = (predictor(prompts) - prompts.targets)[:, -1] ** 2
    spread = errors.std(ddof=1) / np.sqrt(n_prompts)
    mean = FACTOR * errors.mean()
    ends = {"mean_low": [mean - 2 * spread], "mean_high": [mean + 2 * spread]}
    return pd.DataFrame({"length": [length], "mean": [mean], **ends})


def other(n_prompts):
    return pd.DataFrame({"n": [n_prompts]})


def measure(settings, lab):
    given = {"predictor": Averaging(), "n_prompts": settings.n_prompts}
    units = [Unit(error, {**given, "length": length}) for length in settings.lengths]
    errors = pd.concat(lab.tables(units), ignore_index=True)
    return {"errors": errors, "other": lab.table(other, n_prompts=settings.n_prompts)}
"""
QUESTIONS = """
from iclab.studies.study import Question, cases

QUESTIONS = (
    Question("small", "Errors are small.", "Below 50.", lambda t: cases(t["errors"], "mean", 50.0, above=False)),
)
"""
PAGE = """
Asked on {{ s.n_prompts }} prompts: $\\\\hat y = x_q^\\\\top \\\\hat w$.

{{ answers() }}

{{ curves("errors", "Errors", x="length") }}

{{ table("errors", caption="All") }}
"""


@pytest.fixture(scope="session")
def measured(tmp_path_factory):
    """Measures a study of the package in a folder of its own: the tables under given settings."""

    def measure(name, **settings):
        [study] = [study for study in REGISTRY if study.name == name]
        return study.measure(study.settings_of("laptop", settings), Lab(tmp_path_factory.mktemp(name), lambda *_: None))

    return measure


@pytest.fixture
def own_study(tmp_path):
    """Writes the study into a folder; any of its files may be given, or a function that edits it."""

    def write(measure=MEASURE, questions=QUESTIONS, page=PAGE, name="own"):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        files = (("measure.py", measure, MEASURE), ("questions.py", questions, QUESTIONS), ("page.md.j2", page, PAGE))
        for file, text, usual in files:
            text = text(usual) if callable(text) else text
            if text is not None:
                (folder / file).write_text(textwrap.dedent(text), encoding="utf-8")
        return folder

    return write
