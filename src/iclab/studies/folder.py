"""A study's folder, ours or a user's: the modules and the page in it.

Every study is a folder with ``measure.py`` (``TITLE``, a dataclass ``Settings``, ``measure(settings, lab)``),
``questions.py`` (``QUESTIONS``) and ``page.md.j2``; figures beyond the plain ones are drawn by ``figures.py``
(``FIGURES``), ``profiles.yaml`` names other settings, and ``questions.yaml`` may hold the words of the questions.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import importlib.util
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, TypeAlias

import yaml
from pydantic import TypeAdapter, ValidationError

from iclab.foundations import InvalidInputError, check_choice, require_writable, user_path, write_text
from iclab.studies.code import digest_of
from iclab.studies.study import Answer, Question, Tables, cases_of

MEASURE, QUESTIONS, FIGURES, PAGE, PROFILES = "measure.py", "questions.py", "figures.py", "page.md.j2", "profiles.yaml"
PROFILE_NAMES = ("smoke", "laptop", "paper")
WORDS = "questions.yaml"
_WORDS = ("asked", "criterion", "source", "lead")
# What answers a question: from tables, and perhaps the thresholds that the page shows beside it.
Ask: TypeAlias = Callable[[Tables], Answer]


@dataclass(frozen=True)
class Study:
    """A study that can be run.

    Attributes
    ----------
    name : str
        Its name on the command line and in reports.
    location : str
        A package of ours, or the path of a folder.
    paper : bool
        Whether it is about the paper itself, and runs unless others are named.
    trains : bool
        Whether it needs torch.
    settings : mapping
        What it is run with whatever the profile, for a folder that is several studies.
    """

    name: str
    location: str
    paper: bool = False
    trains: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return Path(str(files(self.location))) if self._ours else Path(self.location)

    @property
    def package(self) -> str:
        """Its folder for another process that must load it; empty for one of ours."""
        return "" if self._ours else str(self.folder.resolve())

    @property
    def title(self) -> str:
        """Heading of its page; where it is written out it is read from the text, which loads no torch."""
        titles = _literal(_read_text(self.folder / MEASURE), "TITLE") or self._part("measure").TITLE
        return titles if isinstance(titles, str) else titles[self.name]

    @property
    def measure(self) -> Callable[..., Any]:
        """From settings and a ``Lab`` to tables by name."""
        return self._part("measure").measure

    @property
    def questions(self) -> tuple[Question, ...]:
        """What it asks."""
        return tuple(self._part("questions").QUESTIONS)

    @property
    def figures(self) -> Mapping[str, Callable[..., Any]]:
        """Name of a figure to what draws it from a record."""
        return self._part("figures").FIGURES if (self.folder / FIGURES).exists() else {}

    @property
    def page(self) -> str:
        """Its page, a template."""
        return _read_text(self.folder / PAGE)

    @property
    def code(self) -> str:
        """Digest of the code that measures, and of the words beside it, which may stand in tables."""
        code = digest_of(self._part("measure").__name__)
        words = [path.read_bytes() for path in sorted(self.folder.glob("*.yaml")) if path.name not in (PROFILES, WORDS)]
        return sha256(b"".join([code.encode(), *words])).hexdigest()[:16] if words else code

    def settings_of(self, profile: str, changes: Mapping[str, Any] | None = None) -> Any:
        """The settings under a profile, with changes.

        Raises
        ------
        InvalidInputError
            If the profile does not know the study, or a field is unknown or of another type.
        """
        given = {**self.settings, **self._profile(profile), **(changes or {})}
        kind = self._part("measure").Settings
        for key in given:
            check_choice(key, f"setting of {self.name}", [known.name for known in dataclasses.fields(kind)])
        try:
            with own_code(self.package, f"the settings of {self.name} must fit its fields"):
                return TypeAdapter(kind).validate_python(given)
        except ValidationError as error:
            first = error.errors()[0]
            where = "".join(f"{part}: " for part in [".".join(str(part) for part in first["loc"])] if part)
            said = first["msg"].removeprefix("Value error, ").rstrip(".")
            raise InvalidInputError(f"the settings of {self.name} must fit its fields; {where}{said}.") from error

    def _profile(self, profile: str) -> Mapping[str, Any]:
        """What a profile changes: from the profiles of the package, or from the study's own file."""
        if self._ours:
            return read_profile(profile)["studies"].get(self.name) or {}
        check_choice(profile, "profile", PROFILE_NAMES)
        path = self.folder / PROFILES
        if not path.exists():
            return {}
        content = _read_yaml(path).get(profile) or {}
        if not isinstance(content, Mapping):
            raise InvalidInputError(f"{profile} in {path} must map settings to values; it is {content!r}.")
        return content

    @property
    def _ours(self) -> bool:
        return self.location.startswith("iclab.")

    def _part(self, name: str) -> ModuleType:
        package = self.location if self._ours else load_package(self.folder)
        return importlib.import_module(f"{package}.{name}")


def questions_of(
    module: Mapping[str, Any], others: Mapping[str, Ask | tuple[Ask, Mapping[str, float]]] = MappingProxyType({})
) -> tuple[Question, ...]:
    """The questions of ``questions.yaml``, in its order; the function of its name answers each.

    Beside the words ``asked``, ``criterion``, ``source`` and ``lead`` an entry may have ``ask``, the name of another
    function; ``given``, arguments of the function; ``cases`` in place of a function, the arguments of
    ``study.cases_of``, whose line is the threshold unless it is among them; and ``thresholds``, numbers by name that
    the page shows. A value in capitals is the constant of that name.

    Parameters
    ----------
    module : mapping
        ``globals()`` of the module beside it.
    others : mapping
        Name of a question to what answers it, alone or with its thresholds, where YAML cannot say it.

    Raises
    ------
    InvalidInputError
        If a question has no words or no answer, or a word is unknown.
    """
    path = Path(module["__file__"]).with_name(WORDS)
    entries = _read_yaml(path)
    for name, said in entries.items():
        if not isinstance(said, Mapping):
            raise InvalidInputError(f"the question {name} must map words to text in {path}; it is {said!r}.")
        for key in said:
            check_choice(key, f"word of the question {name}", (*_WORDS, "ask", "given", "cases", "thresholds"))
    asks: dict[str, Any] = {name: _answering(name, said, module) for name, said in entries.items()} | dict(others)
    if wrong := [name for name, ask in asks.items() if ask is None or name not in entries]:
        raise InvalidInputError(
            f"every question must have its words in {path} and what answers it in the module beside; "
            f"{', '.join(wrong)} lacks one."
        )
    questions: list[Question] = []
    for name, said in entries.items():
        ask = asks[name]
        answer, thresholds = ask if isinstance(ask, tuple) else (ask, _constants(said.get("thresholds", {}), module))
        words = {key: text for key, text in said.items() if key in _WORDS}
        questions.append(Question(name, ask=answer, thresholds=thresholds, **words))
    return tuple(questions)


def _answering(name: str, said: Mapping[str, Any], module: Mapping[str, Any]) -> Ask | None:
    """What answers a question by its entry in YAML: rows held against a line, or a function of the module."""
    if "cases" in said:
        line = said.get("thresholds", {}).get("threshold", 0.0)
        return partial(cases_of, **_constants({"line": line, **said["cases"]}, module))
    function = module.get(said.get("ask", name).replace("-", "_"))
    given = _constants(said.get("given", {}), module)
    return partial(function, **given) if function and given else function


def _constants(values: Mapping[str, Any], module: Mapping[str, Any]) -> dict[str, Any]:
    """Values of YAML: a word in capitals is the module's constant of that name, or that of the one that measures."""

    def known(value: Any) -> Any:
        if not (isinstance(value, str) and value.isupper() and value.isidentifier()):
            return value
        if value in module:
            return module[value]
        measure = vars(importlib.import_module(f"{module['__package__']}.{Path(MEASURE).stem}"))
        return measure[check_choice(value, "constant of the study", measure)]

    return {key: known(value) for key, value in values.items()}


def open_folder(folder: Path) -> Study:
    """The study in a user's folder.

    Raises
    ------
    InvalidInputError
        If the folder is none of a study, or its code cannot be imported.
    """
    folder = user_path(folder)
    for name in (MEASURE, QUESTIONS, PAGE):
        if not (folder / name).is_file():
            raise InvalidInputError(
                f"{folder} must be the folder of a study; it holds no {name}: make one with `iclab study new {folder}`."
            )
    study = Study(folder.resolve().name, str(folder), trains=False)
    with own_code(study.package, f"the study in {folder} must be importable"):
        for module, names in _PARTS.items():
            if module == Path(FIGURES).stem and not (folder / FIGURES).exists():
                continue
            part = study._part(module)
            for name, (right, kind) in names.items():
                if not right(getattr(part, name, None)):
                    raise InvalidInputError(f"{folder / module}.py must define {name}, {kind}.")
        _ = study.code  # reads every module, whose text must be UTF-8
    names = [question.name for question in study.questions]
    if len(set(names)) < len(names):
        raise InvalidInputError(f"the questions of {folder} must differ in their names; they are {', '.join(names)}.")
    return study


# What the modules of a study define: whether it is right, and what it should be.
_PARTS: dict[str, dict[str, tuple[Callable[[Any], bool], str]]] = {
    "measure": {
        "TITLE": (lambda value: isinstance(value, str), "the heading of its page, as text"),
        "Settings": (lambda value: isinstance(value, type) and dataclasses.is_dataclass(value), "a dataclass"),
        "measure": (callable, "a function of settings and a lab"),
    },
    "questions": {
        "QUESTIONS": (
            lambda value: isinstance(value, tuple | list) and all(isinstance(each, Question) for each in value),
            "a tuple of Question, such as (Question(…),)",
        ),
    },
    "figures": {
        "FIGURES": (
            lambda value: isinstance(value, Mapping) and all(map(callable, value.values())),
            "a mapping from figures' names to functions",
        ),
    },
}


@contextmanager
def own_code(package: str, what: str) -> Generator[None]:
    """Say where a study's own code failed, in one sentence that begins with ``what``.

    Parameters
    ----------
    package : str
        Folder of the study; empty for one of this package, whose failures pass as they are.
    what : str
        What must hold.

    Raises
    ------
    InvalidInputError
        In place of what was raised, but for sentences, files that cannot be read or written, and a lack of memory.
    """
    try:
        yield
    except (Exception, SystemExit) as error:
        told = isinstance(error, InvalidInputError | ValidationError | MemoryError) or (
            isinstance(error, OSError) and error.strerror
        )
        if told or not package:
            raise
        said = " ".join(str(error).split()).removesuffix(".")
        place = _place(error, Path(package))
        raise InvalidInputError(f"{what}; {place}{type(error).__name__}{': ' * bool(said)}{said}.") from error


def write_example(folder: Path) -> Path:
    """Write the study that comes as an example into a new folder.

    Raises
    ------
    InvalidInputError
        If the folder holds something, or cannot be written.
    """
    folder = user_path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidInputError(f"a new study needs a new folder; {folder} is there and not empty: choose another.")
    require_writable(folder)
    source = files("iclab.studies.example")
    for name in (MEASURE, QUESTIONS, PAGE):
        write_text(folder / name, (source / name).read_text(encoding="utf-8"))
    return folder


def _place(error: BaseException, folder: Path) -> str:
    """File and line of the study's own code where an exception arose."""
    found, trace = "", error.__traceback__
    while trace is not None:
        path = Path(trace.tb_frame.f_code.co_filename)
        if path.parent == folder.resolve():
            found = f"{path.name}, line {trace.tb_lineno}: "
        trace = trace.tb_next
    return found


def load_package(folder: Path) -> str:
    """Make a study's folder importable as a package of its own name, which is returned."""
    folder = folder.resolve()
    name = f"iclab_study_{sha256(str(folder).encode()).hexdigest()[:12]}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_loader(name, loader=None, is_package=True)
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        module.__path__ = [str(folder)]
        sys.modules[name] = module
    return name


def read_profile(name: str) -> dict[str, Any]:
    """A profile of the package: ``studies`` maps a study's name to its settings, ``minutes`` to how long it takes."""
    check_choice(name, "profile", PROFILE_NAMES)
    return _read_yaml(Path(str(files("iclab.studies"))) / "profiles" / f"{name}.yaml")


@cache
def _literal(text: str, name: str) -> Any:
    """What a module's text gives a name at its top, if it is written out; None otherwise."""
    try:
        for node in ast.parse(text).body:
            if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [name]:
                return ast.literal_eval(node.value)
    except (SyntaxError, ValueError):
        pass
    return None


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{path} must be text in UTF-8; {error}.") from error


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(_read_text(path), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise InvalidInputError(f"{path} must be a YAML file; {' '.join(str(error).split())}.") from error
    if not isinstance(content, dict):
        raise InvalidInputError(f"{path} must hold a mapping; it holds {type(content).__name__}.")
    return content
