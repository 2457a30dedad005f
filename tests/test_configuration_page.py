"""docs/configuration.md names every field and choice that the code has, and its example is a configuration."""

import re
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest

from iclab.evaluation.suites import SUITES
from iclab.models import Architecture
from iclab.prompts import SHIFTS
from iclab.prompts.covariate_specifications import CovariatesSpecification
from iclab.prompts.problem_specifications import PROBLEMS
from iclab.prompts.specification import OutliersSpecification, PromptSpecification
from iclab.prompts.task_specifications import TasksSpecification
from iclab.training import PRESETS, Clamp, Series, TrainingConfig
from iclab.training.config import Curriculum, Optimizer, Schedule
from iclab.training.curriculum import Ramp
from iclab.training.reading import read_config

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "configuration.md").read_text(encoding="utf-8")
WORDS = set(re.findall(r"[A-Za-z_0-9]+(?:[-=][A-Za-z_0-9]+)*", PAGE))


def records(union):
    """The dataclasses of a union, which may be annotated and nested."""
    inner = get_args(union)
    return (
        [union]
        if not inner
        else [found for one in inner if isinstance(one, type) or get_args(one) for found in records(one)]
    )


def choices(annotation):
    return re.findall(r"'([a-z_0-9]+)'", str(annotation))


@pytest.mark.parametrize(
    "record",
    [
        TrainingConfig,
        Architecture,
        Optimizer,
        Schedule,
        Curriculum,
        Ramp,
        Series,
        Clamp,
        PromptSpecification,
        OutliersSpecification,
        *records(CovariatesSpecification),
        *records(TasksSpecification),
        *vars(PROBLEMS).values(),
    ],
)
def test_every_field_and_choice_is_there(record):
    missing = {field.name for field in fields(record)} - WORDS
    hints = {name: hint for name, hint in record.__annotations__.items() if "Literal" in str(hint)}
    missing |= {word for hint in hints.values() for word in choices(hint)} - WORDS
    assert not missing


def test_every_preset_suite_and_shift_is_there():
    families = {name.split("=")[0] + "=c" if "=" in name else name for name in SHIFTS}
    assert not (families | set(PRESETS) | set(SUITES)) - WORDS


def test_no_kind_is_invented():
    known = {
        word
        for record in (*records(CovariatesSpecification), *records(TasksSpecification))
        for word in choices(record.__annotations__["kind"])
    }
    rows = PAGE.split("| `covariates.kind`")[1].split("To train on a law")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", rows, flags=re.MULTILINE)) == known
    whole = PAGE.split("| `prompts.kind`")[1].split("`iclab.predictors.bayes_predictor")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", whole, flags=re.MULTILINE)) == set(vars(PROBLEMS))


EXAMPLES = [
    example
    for page in ("configuration", "problems")
    for example in re.findall(r"```yaml\n(.*?)```", (DOCS / f"{page}.md").read_text(encoding="utf-8"), flags=re.DOTALL)
]


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_are_configurations(tmp_path, example):
    (tmp_path / "example.yaml").write_text(example)
    config = read_config(tmp_path / "example.yaml")
    assert all(part in str(config) for part in re.findall(r"(?:kind|shift): ([\w=-]+)", example))
    config.prompts.build().sample(2, 3, seed=0)
