"""Laws of inputs as configuration; ``docs/configuration.md`` says what the fields mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import numpy as np
from pydantic import Field

from iclab.foundations import InvalidInputError
from iclab.prompts.boolean_functions import Hypercube
from iclab.prompts.covariates import Gaussian, RandomDiagonal
from iclab.prompts.input_mixtures import CovariatesMixture, Orthant, RandomScale, Rotated
from iclab.prompts.kinds import Record, one_of, record, records, row
from iclab.prompts.laws import Law, build_law
from iclab.prompts.other_covariates import Affine, Autoregressive, StudentT, Uniform
from iclab.prompts.own_tasks import OwnTasksSpecification
from iclab.prompts.random_covariances import CovarianceMixture, RandomRotation, Wishart
from iclab.prompts.reading import Count, Dimension, NonNegative, Numbers, Positive, Rows
from iclab.prompts.recall import Categories


def _gaussian(dimension: int | None, variance: float, spectrum: Numbers | None, matrix: Rows | None) -> Gaussian:
    ways = {"dimension": dimension, "spectrum": spectrum, "matrix": matrix}
    given = [name for name, value in ways.items() if value is not None]
    if len(given) != 1:
        raise InvalidInputError(
            "gaussian covariates must be given by exactly one of dimension, spectrum and matrix; "
            f"{' and '.join(given) if given else 'none'} was given."
        )
    if matrix is not None:
        return Gaussian(matrix)
    return Gaussian(np.diag(spectrum or ())) if dimension is None else Gaussian.isotropic(dimension, variance)


def _random_diagonal(
    dimension: int | None, law: Mapping[str, Any], laws: tuple[Mapping[str, Any], ...] | None, scale: float
) -> RandomDiagonal:
    if (dimension is None) == (laws is None):
        raise InvalidInputError(
            "random_diagonal covariates must be given by either dimension (with one law for all coordinates) "
            "or laws (one per coordinate)."
        )
    each = [build_law(one) for one in laws or ()] if dimension is None else (build_law(law),) * dimension
    return RandomDiagonal(each, scale)


def _covariance_mixture(matrices: tuple[Rows, ...], probabilities: Numbers | None) -> CovarianceMixture:
    return CovarianceMixture(matrices, probabilities)


COVARIATES = records(
    "COVARIATES",
    __name__,
    {
        "gaussian": row(
            _gaussian,
            dimension=(Dimension | None, None),
            variance=(NonNegative, 1.0),
            spectrum=(tuple[NonNegative, ...] | None, None),
            matrix=(Rows | None, None),
        ),
        "random_diagonal": row(
            _random_diagonal,
            dimension=(Dimension | None, None),
            law=(Law, Field(default_factory=lambda: {"name": "expon", "scale": 1.0})),
            laws=(tuple[Law, ...] | None, None),
            scale=(Positive, 1.0),
        ),
        "random_rotation": row(RandomRotation, spectrum=Numbers),
        "covariance_mixture": row(
            _covariance_mixture,
            matrices=tuple[Rows, ...],
            probabilities=(Numbers | None, None),
        ),
        "wishart": row(Wishart.isotropic, dimension=Dimension, degrees=Count),
        "student_t": row(StudentT.isotropic, dimension=Dimension, degrees=Positive),
        "hypercube": row(Hypercube, dimension=Dimension, probability=(Annotated[float, Field(ge=0, le=1)], 0.5)),
        "categories": row(Categories, count=Count),
        "uniform": row(Uniform, dimension=Dimension, half_width=(Positive, 3**0.5)),
        "orthant": row(Orthant, dimension=Dimension),
        "autoregressive": row(Autoregressive.isotropic, dimension=Dimension, coefficient=float),
    },
)
_PLAIN = (*vars(COVARIATES).values(), OwnTasksSpecification)
AffineSpecification = record(
    "AffineSpecification",
    __name__,
    "affine",
    row(Affine, covariates=one_of(*_PLAIN), scale=(float, 1.0), bias=(float | Numbers, 0.0)),
)
RotatedSpecification = record(
    "RotatedSpecification", __name__, "rotated", row(Rotated, covariates=one_of(*_PLAIN, AffineSpecification))
)
RandomScaleSpecification = record(
    "RandomScaleSpecification",
    __name__,
    "random_scale",
    row(
        RandomScale,
        covariates=one_of(*_PLAIN, AffineSpecification, RotatedSpecification),
        largest=(Annotated[float, Field(gt=1)], 3.0),
    ),
)
_ONE = (*_PLAIN, AffineSpecification, RotatedSpecification, RandomScaleSpecification)
# Of any kind but mixtures: a mixture of mixtures is a mixture.
CovariatesMixtureSpecification = record(
    "CovariatesMixtureSpecification",
    __name__,
    "mixture",
    row(CovariatesMixture, members=tuple[one_of(*_ONE), ...], probabilities=(Numbers | None, None)),
)

if TYPE_CHECKING:
    CovariatesSpecification: TypeAlias = Record
else:
    CovariatesSpecification = one_of(*_ONE, CovariatesMixtureSpecification)
