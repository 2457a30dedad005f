"""Laws of one positive number from plain data: ``{name: expon, scale: 1}``."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

import numpy as np
from pydantic import AfterValidator

from iclab.foundations import InvalidInputError, check_choice


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
    name = str(law["name"])
    family = getattr(stats, name, None)
    if not isinstance(family, stats.rv_continuous):
        known = [each for each in dir(stats) if isinstance(getattr(stats, each), stats.rv_continuous)]
        close = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise InvalidInputError(
            f"a law's name must be a continuous distribution of scipy.stats; {name!r} was given.{hint}"
        )
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
