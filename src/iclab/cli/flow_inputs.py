"""What ``iclab flow`` reads: covariances, ΘΘ' and starts, from files or short expressions."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from iclab.foundations import (
    InvalidInputError,
    Matrix,
    check_array,
    check_choice,
    check_covariance,
    check_integer,
    check_matrix,
    check_real,
)
from iclab.foundations.errors import printable
from iclab.foundations.tables import read_arrays, read_numbers
from iclab.prompts import Gaussian, RandomDiagonal
from iclab.theory import LSAParameters, assumption3, random_theta

Options = dict[str, float]


def _power(options: Options) -> Gaussian:
    size, alpha = _dimension(options), check_real(options["alpha"], "alpha", minimum=0.0)
    return Gaussian(np.diag(_scaled(np.arange(1.0, size + 1) ** -alpha, options)))


def _two_level(options: Options) -> Gaussian:
    size = _dimension(options)
    top = check_integer(options["top"], "top", minimum=0)
    if top > size:
        raise InvalidInputError(f"top must be at most d = {size}; {top} was given.")
    low = check_real(options["low"], "low", minimum=0.0)
    return Gaussian(np.diag(_scaled(np.where(np.arange(size) < top, 1.0, low), options)))


def _exponential_decay(options: Options) -> Gaussian:
    rate = check_real(options["rate"], "rate", minimum=0.0)
    return Gaussian(np.diag(_scaled(np.exp(-rate * np.arange(_dimension(options))), options)))


def _identity(options: Options) -> Gaussian:
    return Gaussian.isotropic(_dimension(options), options["scale"])


def _random_exponential(options: Options) -> RandomDiagonal:
    return RandomDiagonal.exponential(_dimension(options), options["scale"])


# Expression → (maker, its options with their defaults; NaN: must be given).
_SPECTRA: Mapping[str, tuple[Callable[[Options], Gaussian | RandomDiagonal], Options]] = {
    "power": (_power, {"d": np.nan, "alpha": 1.0, "scale": 1.0}),
    "two-level": (_two_level, {"d": np.nan, "top": 1.0, "low": 0.1, "scale": 1.0}),
    "exponential-decay": (_exponential_decay, {"d": np.nan, "rate": 0.5, "scale": 1.0}),
    "identity": (_identity, {"d": np.nan, "scale": 1.0}),
    "random-exponential": (_random_exponential, {"d": np.nan, "scale": 1.0}),
}
_STARTS: Mapping[str, Options] = {
    "assumption3": {},
    "perturbed": {"size": 0.1, "seed": 0.0},
    "normal": {"size": 1.0, "seed": 0.0},
}


def read_covariates(covariance: str | None, data: Path | None, columns: str | None) -> Gaussian | RandomDiagonal:
    """The law of Λ from ``--covariance`` (CSV, NPY or expression) or ``--data`` (columns of a CSV)."""
    if data is not None and covariance is None:
        return Gaussian(_estimated(data, columns))
    if covariance is None or data is not None:
        raise InvalidInputError("exactly one of --covariance and --data must be given.")
    if columns is not None:
        raise InvalidInputError("--columns must go with --data; --covariance was given.")
    if _is_file(covariance):
        return Gaussian(check_covariance(_matrix_file(Path(covariance)), f"the covariance in {covariance}"))
    name, given = _expression(covariance)
    check_choice(name, "--covariance, if no .csv or .npy file,", _SPECTRA)
    make, defaults = _SPECTRA[name]
    return make(_options(name, given, defaults))


def read_theta(theta: str, dimension: int) -> Matrix:
    """ΘΘ' from ``--theta``: ``identity``, ``random:seed=…`` or a CSV or NPY file."""
    if _is_file(theta):
        return check_covariance(_matrix_file(Path(theta)), f"the matrix in {theta}", dimension)
    name, given = _expression(theta)
    check_choice(name, "--theta, if no .csv or .npy file,", ("identity", "random"))
    if name == "identity":
        _options(name, given, {})
        return np.eye(dimension)
    return random_theta(dimension, _seed(_options(name, given, {"seed": 0.0})))


def read_start(start: str, theta: Matrix, scale: float) -> LSAParameters:
    """θ(0) from ``--start``: Assumption 3, perturbed, normal, or an NPZ file."""
    dimension = len(theta)
    if start.endswith(".npz"):
        return _start_file(Path(start), dimension)
    name, given = _expression(start)
    check_choice(name, "--start, if no .npz file,", _STARTS)
    options = _options(name, given, _STARTS[name])
    base = assumption3(theta, scale)
    if name == "assumption3":
        return base
    noise = np.random.default_rng(_seed(options)).standard_normal((dimension + 1) ** 2)
    size = check_real(options["size"], "size", minimum=0.0)
    return LSAParameters.from_vector(size * noise if name == "normal" else base.vector + size * scale * noise)


def _dimension(options: Options) -> int:
    return check_integer(options["d"], "d", minimum=1)


def _seed(options: Options) -> int:
    return check_integer(options["seed"], "seed", minimum=0)


def _scaled(spectrum: np.ndarray, options: Options) -> np.ndarray:
    return check_real(options["scale"], "scale", above=0.0) * spectrum


def _is_file(text: str) -> bool:
    return Path(text).suffix.lower() in (".csv", ".npy")


def _expression(text: str) -> tuple[str, dict[str, str]]:
    """``name:key=value,key=value`` taken apart."""
    name, _, rest = text.partition(":")
    options: dict[str, str] = {}
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        if not equals or key.strip() in options:
            raise InvalidInputError(
                f"{text!r} must read name:key=value,key=value with each key once; {part!r} does not fit."
            )
        options[key.strip()] = value.strip()
    return name.strip(), options


def _options(name: str, given: dict[str, str], defaults: Options) -> Options:
    options = dict(defaults)
    for key, value in given.items():
        if not defaults:
            raise InvalidInputError(f"{name} must stand alone, as it takes no options; {key}={value} was given.")
        check_choice(key, f"an option of {name}", defaults)
        try:
            options[key] = check_real(float(value), key)
        except ValueError as error:
            raise InvalidInputError(f"{key} of {name} must be a finite number; {value!r} was given.") from error
    missing = [key for key, value in options.items() if np.isnan(value)]
    if missing:
        raise InvalidInputError(f"{name} must be given {missing[0]}, as in {name}:{missing[0]}=5.")
    return options


def _matrix_file(path: Path) -> np.ndarray:
    """A square matrix, or a spectrum (one row or column), from CSV or NPY."""
    array = read_numbers(path, header=False).values
    if 1 in array.shape and array.size > 1:
        array = np.diag(array.ravel())
    return check_matrix(array, f"the matrix in {path}")


def _estimated(path: Path, columns: str | None) -> Matrix:
    """Sample covariance of the columns of a CSV or Parquet file, as real data have."""
    chosen = None if columns is None else [name.strip() for name in columns.split(",")]
    table = read_numbers(path, header=True, columns=chosen)
    values = table.values
    if table.left_out:
        names = printable(", ".join(table.left_out))
        sys.stderr.write(f"of {printable(str(path))} these columns hold words and are left out: {names}\n")
    if len(values) < 2:
        raise InvalidInputError(f"{path} must hold at least two rows; {len(values)} was found.")
    covariance = np.atleast_2d(np.cov(values, rowvar=False))
    if not np.isfinite(covariance).all():
        raise InvalidInputError(f"{path} must hold numbers whose squares are finite; change their units.")
    return covariance


def _start_file(path: Path, dimension: int) -> LSAParameters:
    """Weights from an NPZ file: w_pv and w_kq, or the blocks a, u, U, b (a and b may be missing: zero)."""
    held = read_arrays(path)
    if {"w_pv", "w_kq"} <= held.keys():
        start = LSAParameters(held["w_pv"], held["w_kq"])
    elif {"u", "U"} <= held.keys():
        u, U = check_array(held["u"], "u", ()), check_matrix(held["U"], "U")
        zero = np.zeros(len(U))
        start = LSAParameters.from_blocks(held.get("a", zero), float(u), U, held.get("b", zero))
    else:
        raise InvalidInputError(f"{path} must hold w_pv and w_kq, or u and U; it holds {', '.join(held) or 'nothing'}.")
    if start.dimension != dimension:
        raise InvalidInputError(
            f"the start in {path} must have the dimension {dimension} of the covariance; it has {start.dimension}."
        )
    return start
