"""What every room stands on: shape aliases, input checks, seeded streams, estimates and safe files."""

from iclab.foundations.arrays import Matrices, Matrix, PromptInputs, PromptLabels, Scalar, Vector, Vectors
from iclab.foundations.errors import InvalidInputError
from iclab.foundations.estimates import Estimate, format_number, plural, plus_minus
from iclab.foundations.files import (
    atomic_path,
    exclusive,
    read_json,
    remove_unfinished,
    require_writable,
    require_writable_file,
    write_json,
    write_text,
)
from iclab.foundations.streams import PURPOSES, STREAMS, Draws
from iclab.foundations.validation import (
    check_array,
    check_choice,
    check_covariance,
    check_integer,
    check_matrix,
    check_members,
    check_real,
    check_reals,
    check_vector,
)

__all__ = [
    "PURPOSES",
    "STREAMS",
    "Draws",
    "Estimate",
    "InvalidInputError",
    "Matrices",
    "Matrix",
    "PromptInputs",
    "PromptLabels",
    "Scalar",
    "Vector",
    "Vectors",
    "atomic_path",
    "check_array",
    "check_choice",
    "check_covariance",
    "check_integer",
    "check_matrix",
    "check_members",
    "check_real",
    "check_reals",
    "check_vector",
    "exclusive",
    "format_number",
    "plural",
    "plus_minus",
    "read_json",
    "remove_unfinished",
    "require_writable",
    "require_writable_file",
    "write_json",
    "write_text",
]
