"""A law of functions of one's own in a configuration, named as ``module:object``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, Literal, cast

from pydantic.dataclasses import dataclass

from iclab.foundations import InvalidInputError
from iclab.prompts.reading import STRICT
from iclab.prompts.tasks import Tasks


@dataclass(frozen=True, kw_only=True, config=STRICT)
class OwnTasksSpecification:
    """Tasks of one's own, made by an importable class or function.

    What it makes has ``draw`` and ``mean_square`` (see ``Tasks``). The configuration holds the name, not the code:
    keep the module with the run. It is looked for where Python finds modules, and in the current folder.

    Attributes
    ----------
    object : str
        ``module:object``.
    arguments : mapping
        Keyword arguments that it is called with.
    """

    kind: Literal["own"] = "own"
    object: str
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def build(self) -> Tasks:
        """The tasks.

        Raises
        ------
        InvalidInputError
            If there is no such object, or it does not take the arguments.
        """
        module, _, name = self.object.partition(":")
        sys.path.insert(0, str(Path.cwd()))
        try:
            made: Any = importlib.import_module(module)
            for part in name.split("."):
                made = getattr(made, part)
            made = made(**self.arguments)
        except (ImportError, AttributeError, TypeError, ValueError) as error:
            raise InvalidInputError(
                f"object must be module:object, importable and callable with the arguments; {self.object!r} was given "
                f"({error})."
            ) from error
        finally:
            sys.path.pop(0)
        return cast(Tasks, made)
