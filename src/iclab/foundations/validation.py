"""Checks on what a user passes in: each returns the value in canonical form or raises one clear sentence."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from numbers import Integral, Real
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from iclab.foundations.arrays import Matrix, Vector
from iclab.foundations.errors import InvalidInputError

_T = TypeVar("_T")
# Rounding of a symmetric eigensolver: eigenvalues below -tolerance·max are a real violation.
_RELATIVE_TOLERANCE = 1e-10
_MASKED: Any = np.ma.MaskedArray
# What NumPy converts to numbers without a word, by the kind of an array and of what stands in one of objects.
_OTHERS = {"U": "words", "S": "words", "M": "dates", "m": "durations", "V": "records"}
_OTHER_OBJECTS: tuple[tuple[tuple[type, ...], str], ...] = (
    ((str, bytes), "words"),
    ((date, time, np.datetime64), "dates"),
    ((timedelta, np.timedelta64), "durations"),
)


def check_integer(value: object, name: str, *, minimum: int | None = None) -> int:
    """Return ``value`` as an int; integral floats such as ``1e6`` are accepted.

    Raises
    ------
    InvalidInputError
        If the value is not a whole number or lies below ``minimum``.
    """
    value = _scalar(value)
    whole = isinstance(value, Integral) or (isinstance(value, Real) and float(value).is_integer())
    if not whole or isinstance(value, (bool, np.bool_)):
        raise InvalidInputError(f"{name} must be a whole number; {value!r} was given.")
    number = int(value)  # type: ignore[arg-type]
    if minimum is not None and number < minimum:
        raise InvalidInputError(f"{name} must be at least {minimum}; {number} was given.")
    return number


def check_real(
    value: object,
    name: str,
    *,
    minimum: float | None = None,
    above: float | None = None,
    below: float | None = None,
    allow_infinite: bool = False,
) -> float:
    """Return ``value`` as a float that is not NaN, at least ``minimum``, greater than ``above``, less than ``below``.

    Raises
    ------
    InvalidInputError
        If the value is no real number or breaks a bound.
    """
    value = _scalar(value)
    if not isinstance(value, Real) or isinstance(value, (bool, np.bool_)):
        raise InvalidInputError(f"{name} must be a real number; {value!r} was given.")
    try:
        number = float(value)
    except OverflowError as error:
        raise InvalidInputError(f"{name} must be within double precision; a larger number was given.") from error
    if math.isnan(number) or (math.isinf(number) and not allow_infinite):
        raise InvalidInputError(f"{name} must be finite; {number} was given.")
    if minimum is not None and number < minimum:
        raise InvalidInputError(f"{name} must be at least {minimum}; {number} was given.")
    if above is not None and below is not None and not above < number < below:
        raise InvalidInputError(f"{name} must lie between {above:g} and {below:g}; {number} was given.")
    if above is not None and number <= above:
        raise InvalidInputError(f"{name} must be greater than {above}; {number} was given.")
    if below is not None and number >= below:
        raise InvalidInputError(f"{name} must be less than {below}; {number} was given.")
    return number


def _scalar(value: Any) -> Any:
    """The number in an array of no dimension, as reductions may leave it."""
    if isinstance(value, _MASKED):
        return None if np.ma.is_masked(value) else value.item()
    return value.item() if getattr(value, "shape", None) == () else value


def check_kind(value: Any, name: str) -> np.ndarray:
    """Return ``value`` as an array of numbers or truth values, of their own type: nothing is converted silently.

    Raises
    ------
    InvalidInputError
        If it is ragged, has masked entries, or holds words, dates, durations or records.
    """
    masked = _masked(value) + sum(map(_masked, value) if type(value) in (list, tuple) else ())
    if masked:
        raise InvalidInputError(f"{name} must have no masked entries; {masked} are: fill them, or leave them out.")
    try:
        given: Any = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        if hasattr(value, "detach"):
            raise InvalidInputError(
                f"{name} must be an array of numbers; a tensor with a gradient, or on a GPU, was given: call "
                ".detach().cpu() on it."
            ) from error
        raise InvalidInputError(f"{name} must be an array of real numbers; {error}.") from error
    found = _OTHERS.get(given.dtype.kind)
    if given.dtype.kind == "O":
        found = next((word for each in given.flat for kinds, word in _OTHER_OBJECTS if isinstance(each, kinds)), None)
    if found is not None:
        raise InvalidInputError(f"{name} must be an array of real numbers; it holds {found}: convert or drop them.")
    return given


def _masked(value: Any) -> int:
    """Number of masked entries."""
    return int(np.ma.getmaskarray(value).sum()) if isinstance(value, _MASKED) else 0


def check_reals(value: ArrayLike, name: str) -> np.ndarray:
    """Return ``value`` as a float64 array of any shape, NaN and infinity included.

    Raises
    ------
    InvalidInputError
        As ``check_kind``, or if a number is complex, as NumPy would drop half of it, or beyond double precision.
    """
    if type(value) is np.ndarray and value.dtype == np.float64:  # as within integrators, millions of times
        return value
    given: Any = check_kind(value, name)
    try:
        if np.iscomplexobj(given):
            raise TypeError("complex numbers were given")
        for each in given.flat if given.dtype.kind == "O" else ():
            if not isinstance(each, (Real, Decimal)):
                raise TypeError(f"a {type(each).__name__} was given")
        with np.errstate(over="raise"):
            return np.asarray(given, dtype=np.float64)
    except ArithmeticError as error:
        raise InvalidInputError(f"{name} must be within double precision; larger numbers were given.") from error
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"{name} must be an array of real numbers; {error}.") from error


def check_array(value: ArrayLike, name: str, shape: tuple[int | None, ...]) -> np.ndarray:
    """Return ``value`` as a finite float64 array of the given shape (``None``: any length there).

    Raises
    ------
    InvalidInputError
        If it is not numeric, has another shape, or holds NaN or infinity.
    """
    array = check_reals(value, name)
    fits = array.ndim == len(shape) and all(
        want is None or want == have for want, have in zip(shape, array.shape, strict=False)
    )
    if not fits:
        wanted = "(" + ", ".join("any" if size is None else str(size) for size in shape) + ")"
        raise InvalidInputError(f"{name} must have shape {wanted}; an array of shape {array.shape} was given.")
    if not np.isfinite(array).all():
        raise InvalidInputError(f"{name} must be finite; it holds NaN or infinity.")
    return array


def check_vector(value: ArrayLike, name: str, dimension: int | None = None) -> Vector:
    """Return ``value`` as a finite float64 vector of length ``dimension`` (any length if None)."""
    return check_array(value, name, (dimension,))


def check_matrix(value: ArrayLike, name: str, dimension: int | None = None) -> Matrix:
    """Return ``value`` as a finite, square float64 matrix of the given dimension (any if None)."""
    array = check_array(value, name, (dimension, dimension))
    if array.shape[0] != array.shape[1]:
        raise InvalidInputError(f"{name} must be square; an array of shape {array.shape} was given.")
    return array


def check_covariance(value: ArrayLike, name: str = "covariance", dimension: int | None = None) -> Matrix:
    """Return ``value`` as a symmetric positive semi-definite float64 matrix.

    Raises
    ------
    InvalidInputError
        If it is not square, not finite, not symmetric, or has a negative eigenvalue (both beyond
        rounding, 1e-10 relative to its largest entry or eigenvalue).
    """
    matrix = check_matrix(value, name, dimension)
    if matrix.shape[0] == 0:
        raise InvalidInputError(f"{name} must have dimension at least 1; an empty matrix was given.")
    # A diagonal matrix needs no eigensolver, and its rounding is none.
    if np.count_nonzero(matrix) == np.count_nonzero(np.diagonal(matrix)):
        symmetric, eigenvalues = matrix.copy(), np.sort(np.diagonal(matrix))
    else:
        size = np.abs(matrix).max()
        asymmetry = np.abs(matrix - matrix.T).max()
        if asymmetry > _RELATIVE_TOLERANCE * size:
            raise InvalidInputError(f"{name} must be symmetric; entries differ from the transpose by {asymmetry:.3g}.")
        symmetric = (matrix + matrix.T) / 2
        eigenvalues = np.linalg.eigvalsh(symmetric)
    if eigenvalues[0] < -_RELATIVE_TOLERANCE * max(abs(eigenvalues[-1]), abs(eigenvalues[0])):
        raise InvalidInputError(
            f"{name} must be positive semi-definite; its smallest eigenvalue is {eigenvalues[0]:.6g}."
        )
    return symmetric


def check_members(value: _T, name: str, members: Sequence[str]) -> _T:
    """Return ``value`` if it has these attributes, which its part requires.

    Raises
    ------
    InvalidInputError
        If it is a class instead of an object, or lacks one.
    """
    if isinstance(value, type):
        raise InvalidInputError(f"{name} must be an object, not its class; make one with {value.__name__}(…).")
    missing = [member for member in members if not hasattr(value, member)]
    if missing:
        raise InvalidInputError(
            f"{name} must have {' and '.join(members)}; a {type(value).__name__} has no {missing[0]}."
        )
    return value


def check_choice(value: str, name: str, choices: Iterable[str]) -> str:
    """Return ``value`` if it is one of ``choices``; otherwise name the closest one.

    Raises
    ------
    InvalidInputError
        If the value is not among the choices.
    """
    known = list(choices)
    if value in known:
        return value
    close = difflib.get_close_matches(str(value), known, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise InvalidInputError(f"{name} must be one of {', '.join(known)}; {value!r} was given.{hint}")
