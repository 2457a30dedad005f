"""Any distribution of prompts as configuration: functions of inputs, or a whole law by its ``kind``.

prompts: {kind: markov_chains, n_symbols: 3}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, Union, cast

from pydantic import Discriminator, Field, Tag
from pydantic.dataclasses import dataclass

from iclab.prompts.bursty_classes import SHOWN, BurstyClasses
from iclab.prompts.dynamics import LinearDynamics
from iclab.prompts.gaussian_mixture import GaussianMixture
from iclab.prompts.kinds import Record, records, row
from iclab.prompts.markov_chains import MarkovChainPool, MarkovChains
from iclab.prompts.reading import STRICT, UNTAGGED, Count, Dimension, NonNegative, Positive, validated
from iclab.prompts.specification import PromptSpecification

_Order = Annotated[int, Field(ge=0)]
_Seed = Annotated[int, Field(ge=0)]
_Symbols = Annotated[int, Field(ge=2)]

PROBLEMS = records(
    "PROBLEMS",
    __name__,
    {
        "markov_chains": row(
            MarkovChains,
            n_symbols=_Symbols,
            concentration=(Positive, 1.0),
            order=(_Order, 1),
            start=(Literal["stationary", "uniform"], "stationary"),
        ),
        "markov_pool": row(
            MarkovChainPool.dirichlet,
            n_chains=Count,
            n_symbols=_Symbols,
            concentration=(Positive, 1.0),
            order=(_Order, 1),
            seed=(_Seed, 0),
        ),
        "gaussian_mixture": row(
            GaussianMixture,
            dimension=Dimension,
            radius=NonNegative,
            flips=(Annotated[float, Field(ge=0, le=0.5)], 0.0),
        ),
        "bursty_classes": row(
            BurstyClasses,
            dimension=Dimension,
            n_classes=Count,
            n_labels=_Symbols,
            n_pairs=(Count, 8),
            burst=(Count, 1),
            spread=(NonNegative, 0.1),
            copies=(Annotated[float, Field(ge=0, le=1)], 1.0),
            shown=(Literal[SHOWN], "as trained"),
            seed=(_Seed, 0),
        ),
        "linear_dynamics": row(
            LinearDynamics,
            size=Count,
            law=(Literal["orthogonal", "gaussian"], "orthogonal"),
            noise=(NonNegative, 0.0),
            scale=(Positive, 1.0),
        ),
    },
)


def _tag(value: Any) -> str:
    """Laws of functions have no kind: they are told by not having one."""
    given = cast(Mapping[str, Any], value).get("kind") if isinstance(value, Mapping) else getattr(value, "kind", None)
    return UNTAGGED if given is None else str(given)


if TYPE_CHECKING:
    ProblemSpecification: TypeAlias = PromptSpecification | Record
else:
    _MEMBERS = {UNTAGGED: PromptSpecification, **vars(PROBLEMS)}
    ProblemSpecification = Annotated[
        Union[tuple(Annotated[member, Tag(tag)] for tag, member in _MEMBERS.items())],  # noqa: UP007
        Discriminator(_tag),
    ]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class _Holder:
    prompts: ProblemSpecification


def read_problem(data: Any, *, allow_code: bool = False) -> Any:
    """A distribution of prompts from plain data, as under ``prompts`` in a configuration.

    Parameters
    ----------
    data : mapping
        Plain data.
    allow_code : bool
        Whether code of your own that they name may run.

    Raises
    ------
    InvalidInputError
        If they describe none.
    """
    return validated(_Holder, {"prompts": data}, "the problem", allow_code=allow_code).prompts.build()
