"""Prompt distributions as configuration: plain data in, checked, ``build()`` out.

A specification is a frozen record with a ``kind`` that names what it builds, for example in YAML

    covariates: {kind: gaussian, dimension: 20}
    tasks: {kind: linear}
    noise: 0.5

``validated(PromptSpecification, data)`` turns such data into a specification or says in one sentence what is
wrong and which key or value is the closest known one.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias, TypeVar, cast, get_args, get_origin, get_type_hints

import numpy as np
from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from incontext.foundations import InvalidInputError, check_choice
from incontext.prompts.covariates import Covariates, Gaussian, RandomDiagonal
from incontext.prompts.distribution import PromptDistribution
from incontext.prompts.tasks import Linear, Tasks

_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
_T = TypeVar("_T")

Dimension: TypeAlias = Annotated[int, Field(ge=1)]
Positive: TypeAlias = Annotated[float, Field(gt=0)]
NonNegative: TypeAlias = Annotated[float, Field(ge=0)]


def build_law(law: Mapping[str, str | float]) -> Any:
    """The frozen scipy.stats distribution of ``{name: expon, scale: 1}``; other keys are its parameters.

    Raises
    ------
    InvalidInputError
        If scipy.stats has no continuous distribution of that name, or it has no such parameter.
    """
    from scipy import stats

    if "name" not in law:
        raise InvalidInputError("a law must have a name, as in {name: expon, scale: 1}; none was given.")
    known = [name for name in dir(stats) if isinstance(getattr(stats, name), stats.rv_continuous)]
    name = str(law["name"])
    if name not in known:
        raise InvalidInputError(
            f"a law's name must be a continuous distribution of scipy.stats; {name!r} was given.{_hint(name, known)}"
        )
    family = getattr(stats, name)
    shapes = [shape.strip() for shape in family.shapes.split(",")] if family.shapes else []
    parameters = {key: value for key, value in law.items() if key != "name"}
    for key in parameters:
        check_choice(key, f"a parameter of the law {name}", [*shapes, "loc", "scale"])
    try:
        frozen = family(**{key: float(value) for key, value in parameters.items()})
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"the law {name} must be given numbers for {', '.join(shapes)}; {error}.") from error
    if np.isnan(frozen.support()[0]):
        raise InvalidInputError(f"the law {name} must have parameters within its range; {parameters} was given.")
    return frozen


def _known_law(law: dict[str, str | float]) -> dict[str, str | float]:
    build_law(law)
    return law


Law: TypeAlias = Annotated[dict[str, str | float], AfterValidator(_known_law)]


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class GaussianSpecification:
    """Gaussian inputs: by dimension (and variance), by spectrum, or by the whole matrix.

    Attributes
    ----------
    dimension : int, optional
        d, with Λ = variance · I.
    variance : float
        Used with ``dimension``.
    spectrum : list of float, optional
        Eigenvalues of a diagonal Λ.
    matrix : list of list of float, optional
        Λ itself.
    """

    kind: Literal["gaussian"] = "gaussian"
    dimension: Dimension | None = None
    variance: NonNegative = 1.0
    spectrum: tuple[NonNegative, ...] | None = None
    matrix: tuple[tuple[float, ...], ...] | None = None

    def __post_init__(self) -> None:
        given = [name for name in ("dimension", "spectrum", "matrix") if getattr(self, name) is not None]
        if len(given) != 1:
            raise InvalidInputError(
                "gaussian covariates must be given by exactly one of dimension, spectrum and matrix; "
                f"{' and '.join(given) if given else 'none'} was given."
            )

    def build(self) -> Gaussian:
        """The covariates."""
        if self.matrix is not None:
            return Gaussian(np.array(self.matrix))
        if self.spectrum is not None:
            return Gaussian(np.diag(self.spectrum))
        assert self.dimension is not None
        return Gaussian.isotropic(self.dimension, self.variance)


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class RandomDiagonalSpecification:
    """Gaussian inputs with a diagonal covariance drawn per prompt.

    Attributes
    ----------
    dimension : int, optional
        d, with one ``law`` for every coordinate.
    law : mapping
        Law of each λ_i, for example ``{name: expon, scale: 1}``.
    laws : list of mapping, optional
        One law per coordinate, instead of ``dimension`` and ``law``.
    scale : float
        Factor of the covariance.
    """

    kind: Literal["random_diagonal"] = "random_diagonal"
    dimension: Dimension | None = None
    law: Law = Field(default_factory=lambda: {"name": "expon", "scale": 1.0})
    laws: tuple[Law, ...] | None = None
    scale: Positive = 1.0

    def __post_init__(self) -> None:
        if (self.dimension is None) == (self.laws is None):
            raise InvalidInputError(
                "random_diagonal covariates must be given by either dimension (with one law for all coordinates) "
                "or laws (one per coordinate)."
            )

    def build(self) -> RandomDiagonal:
        """The covariates."""
        if self.laws is not None:
            return RandomDiagonal([build_law(law) for law in self.laws], self.scale)
        assert self.dimension is not None
        return RandomDiagonal((build_law(self.law),) * self.dimension, self.scale)


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class LinearSpecification:
    """Linear tasks w ~ N(0, W).

    Attributes
    ----------
    weight_variance : float
        W = weight_variance · I, unless the whole matrix is given.
    weight_covariance : list of list of float, optional
        W itself.
    """

    kind: Literal["linear"] = "linear"
    weight_covariance: tuple[tuple[float, ...], ...] | None = None

    def build(self) -> Linear:
        """The tasks."""
        return Linear(None if self.weight_covariance is None else np.array(self.weight_covariance))


CovariatesSpecification: TypeAlias = Annotated[
    GaussianSpecification | RandomDiagonalSpecification, Field(discriminator="kind")
]
TasksSpecification: TypeAlias = LinearSpecification


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class PromptSpecification:
    """A whole prompt distribution.

    Attributes
    ----------
    covariates, tasks : specification
        By their ``kind``.
    noise : float
        Standard deviation of the label noise.
    """

    covariates: CovariatesSpecification
    tasks: TasksSpecification = Field(default_factory=LinearSpecification)
    noise: NonNegative = 0.0

    def build(self) -> PromptDistribution:
        """The distribution."""
        covariates: Covariates = self.covariates.build()
        tasks: Tasks = self.tasks.build()
        return PromptDistribution(covariates, tasks, self.noise)


def validated(cls: type[_T], data: Mapping[str, Any], name: str = "the configuration") -> _T:
    """Build the specification ``cls`` from plain data, as read from YAML or JSON.

    Parameters
    ----------
    cls : type
        A pydantic dataclass, such as ``PromptSpecification`` or one that embeds it.
    data : mapping
        Plain data.
    name : str
        What to call the whole in messages, for example a file.

    Raises
    ------
    InvalidInputError
        If anything does not fit: the sentence names the place, and the closest known key or kind.
    """
    try:
        return TypeAdapter(cls).validate_python(dict(data))
    except ValidationError as error:
        raise InvalidInputError(_sentence(cls, error.errors()[0], name)) from error


def plain(specification: Any) -> dict[str, Any]:
    """The specification as JSON-serialisable data; ``validated`` reads it back."""
    adapter: TypeAdapter[Any] = TypeAdapter(cast(Any, type(specification)))
    return adapter.dump_python(specification, mode="json")


def _sentence(cls: type, error: Any, name: str) -> str:
    location, kind = [str(part) for part in error["loc"]], error["type"]
    if kind == "unexpected_keyword_argument":
        *place, key = location
        known = _known_keys(cls, place)
        return (
            f"{_where(place, name)} must have only the keys {', '.join(known)}; {key!r} was given.{_hint(key, known)}"
        )
    if kind == "union_tag_invalid":
        given, known = str(error["ctx"]["tag"]), _tags(error["ctx"]["expected_tags"])
        return (
            f"the kind of {_where(location, name)} must be one of {', '.join(known)}; {given!r} was given."
            f"{_hint(given, known)}"
        )
    if kind == "union_tag_not_found":
        return f"{_where(location, name)} must have a kind; none was given."
    if kind == "missing":
        *place, key = location
        return f"{_where(place, name)} must have the key {key!r}; it is missing."
    reason = str(error["msg"]).removeprefix("Value error, ").rstrip(".")
    if isinstance(error.get("ctx", {}).get("error"), InvalidInputError):
        return f"{reason} (at {_where(location, name)})."
    return f"{_where(location, name)} is not as it must be: {reason}; {error['input']!r} was given."


def _where(location: list[str], name: str) -> str:
    return ".".join(location) if location else name


def _hint(given: str, known: list[str]) -> str:
    close = difflib.get_close_matches(given, known, n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def _tags(text: str) -> list[str]:
    return [tag.strip().strip("'") for tag in text.split(",")]


def _known_keys(cls: type, location: list[str]) -> list[str]:
    """Fields of the dataclass at ``location``, following field names, list indices and the tags of unions."""
    here: list[Any] = [cls]
    for part in location:
        members = [member for annotation in here for member in _members(annotation)]
        tagged = [member for member in members if _tag(member) == part]
        fields = [get_type_hints(member)[part] for member in members if part in _names(member)]
        here = tagged or fields or here
    return sorted({name for annotation in here for member in _members(annotation) for name in _names(member)})


def _members(annotation: Any) -> list[type]:
    """The dataclasses within an annotation such as ``Annotated[A | B, …]`` or ``tuple[A, ...] | None``."""
    if dataclasses.is_dataclass(annotation):
        return [annotation]  # type: ignore[list-item]
    return (
        [member for argument in get_args(annotation) for member in _members(argument)] if get_origin(annotation) else []
    )


def _names(member: type) -> list[str]:
    return [field.name for field in dataclasses.fields(member)]  # type: ignore[arg-type]


def _tag(member: type) -> str | None:
    for field in dataclasses.fields(member):  # type: ignore[arg-type]
        if field.name == "kind":
            return str(field.default)
    return None
