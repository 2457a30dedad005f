"""How numbers are written: alone, with their errors, and counts with their nouns."""

from __future__ import annotations

import math
from decimal import Decimal

from iclab.foundations.errors import InvalidInputError

# Powers of ten between which numbers are written without an exponent, and digits of a value worth printing.
_SMALLEST, _LARGEST, _DIGITS = -4, 6, 12


def format_number(value: float) -> str:
    """A number without an error: four significant digits, a true minus sign, a dash where there is none.

    Parameters
    ----------
    value : float
        Any number, also infinite or not a number.

    Returns
    -------
    str
        The number as a reader expects it.

    Examples
    --------
    >>> format_number(-2.50004), format_number(1.2344e-7), format_number(float("nan")), format_number(float("inf"))
    ('−2.5', '1.234e−07', '–', '∞')
    """
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return _minus(f"{value:.4g}")


def plural(count: int, noun: str) -> str:
    """A count with its noun, in the plural unless it is one.

    Examples
    --------
    >>> plural(1, "seed"), plural(3, "seed")
    ('1 seed', '3 seeds')
    """
    return f"{count} {noun}{'' if count == 1 else 's'}"


def plus_minus(value: float, error: float) -> str:
    """A value with its error, both to the place of the error's second digit.

    Parameters
    ----------
    value : float
        What was measured.
    error : float
        Its standard error, or half the width of its interval, at least 0.

    Returns
    -------
    str
        ``value ± error``. Below 10⁻⁴ and from 10⁶ on, both stand in brackets before a common power of ten. A value
        whose error is 0 or unknown stands alone, as ``format_number`` writes it. Where an error is so small that over
        12 digits of the value would have to be shown, 12 are.

    Raises
    ------
    InvalidInputError
        If the error is negative.

    Examples
    --------
    >>> plus_minus(0.0394321, 0.00104)
    '0.0394 ± 0.0010'
    >>> plus_minus(-12.3456, 9.96)
    '−12 ± 10'
    >>> plus_minus(1234.5, 251.0)
    '1230 ± 250'
    >>> plus_minus(3.005e-7, 1.23e-7)
    '(3.0 ± 1.2)e−07'
    >>> plus_minus(0.5, 0.0)
    '0.5'
    """
    value, error = float(value), float(error)
    if error < 0:
        raise InvalidInputError(f"error must be at least 0, got {error:g}: pass the size of a deviation.")
    if not math.isfinite(value) or math.isnan(error) or error == 0:
        return format_number(value)
    if math.isinf(error):
        return f"{format_number(value)} ± ∞"
    rounded = f"{error:.1e}"  # rounding can add a digit: 9.96 is 10
    unit = Decimal(1).scaleb(int(rounded.partition("e")[2]) - 1)
    if value and math.log10(abs(value)) - unit.adjusted() >= _DIGITS:
        return _minus(f"{value:.{_DIGITS}g} ± {rounded}")
    shown, around = Decimal(value).quantize(unit), Decimal(rounded).quantize(unit)
    if not shown:
        shown = abs(shown)  # no minus before a zero
    power = max(shown.adjusted() if shown else around.adjusted(), around.adjusted())
    if _SMALLEST <= power < _LARGEST:
        return _minus(f"{shown:f} ± {around:f}")
    return _minus(f"({shown.scaleb(-power):f} ± {around.scaleb(-power):f})e{power:+03d}")


def _minus(text: str) -> str:
    return text.replace("-", "−")
