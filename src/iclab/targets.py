"""What the name of a predictor refers to: one resolver for the command line, the library and scikit-learn.

A *target* is a name, a folder (a run, a checkpoint or a saved model), ``module:object`` of your own Python, or a
predictor itself.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from iclab.foundations import InvalidInputError, PromptLabels, check_choice, check_reals, user_path
from iclab.foundations.own_code import CodeNotAllowedError, defined_at, import_object, own_errors
from iclab.predictors import Predictor
from iclab.predictors.limits import limits_of
from iclab.predictors.registry import shipped_models
from iclab.prompts import Prompts


def resolve(
    target: Any, names: Collection[str] = (), *, what: str = "model", device: str = "cpu", allow_code: bool = False
) -> str | Predictor:
    """The predictor that a target names.

    Parameters
    ----------
    target : str, Path or predictor
        A member of ``names``, a model that ships with the package, a folder, ``module:object``, or a predictor.
    names : collection of str
        Names that the caller makes predictors of itself; they come first, and are returned as they are.
    what : str
        What the target is called in messages.
    device : str
        Where a trained model computes.
    allow_code : bool
        Whether ``module:object`` may be imported, which runs it.

    Returns
    -------
    str or Predictor
        One of ``names``, or the predictor.

    Raises
    ------
    InvalidInputError
        If there is no such thing, torch is missing that it needs, or it is code that was not allowed.
    """
    if isinstance(target, str) and target in names:
        return target
    if not isinstance(target, (str, Path)):
        return _callable(target, names, what)
    shipped = shipped_models()
    if str(target) in shipped or _exists(user_path(target)):
        if find_spec("torch") is None:
            raise InvalidInputError(
                f"{target} needs torch, which is not installed; install it with `pip install 'iclab[train]'`."
            )
        from iclab.models import load

        return load(target, device=device, allow_code=allow_code)
    if isinstance(target, str) and ":" in target and "/" not in target:
        return own_predictor(target, allow_code=allow_code)
    return check_choice(str(target), f"{what} (no such folder; as a name it)", (*names, *shipped))


def column_names(targets: Iterable[str], reserved: Collection[str]) -> list[str]:
    """Distinct columns for distinct targets: a folder goes by its last part unless that is taken, else as given.

    Parameters
    ----------
    targets : iterable of str
        As given on the command line.
    reserved : collection of str
        Names of classical predictors, which no folder may take.
    """
    given = list(targets)
    short = [target if target in reserved or ":" in target else Path(target).name or target for target in given]
    return [
        target if target != name and (name in reserved or short.count(name) > 1) else name
        for target, name in zip(given, short, strict=True)
    ]


def training_of(predictor: Any, *, allow_code: bool) -> Any:
    """The configuration that a trained model was trained by, if its folder or its run's holds one; else None.

    Parameters
    ----------
    predictor : Predictor
        As ``resolve`` returns it.
    allow_code : bool
        Whether code of your own that the configuration names may run later.

    Raises
    ------
    InvalidInputError
        If the configuration cannot be read.
    """
    folder = getattr(predictor, "folder", None)
    if not isinstance(folder, Path):
        return None
    from iclab.models.storage import CONFIG
    from iclab.training import read_config

    places = [folder / CONFIG, *([folder.parent.parent / CONFIG] if folder.parent.name == "checkpoints" else [])]
    found = next((place for place in places if place.is_file()), None)
    return None if found is None else read_config(found, allow_code=allow_code)


def own_predictor(target: str, *, allow_code: bool) -> Predictor:
    """The predictor of ``module:object``; a class is instantiated without arguments.

    Raises
    ------
    InvalidInputError
        If running it was not allowed, it cannot be imported, or it cannot be called.
    """
    if not allow_code:
        raise CodeNotAllowedError(target)
    value = import_object(target)
    if isinstance(value, type):
        with own_errors(target, "must be a predictor, or a class that makes one without arguments"):
            value = value()
    if not callable(value):
        raise InvalidInputError(f"{target} must map prompts to predictions; {value!r} cannot be called.")
    return OwnPredictor(target, value)


@dataclass(frozen=True)
class OwnPredictor:
    """A predictor of a user's own, whose errors are told in one sentence that says where.

    Attributes
    ----------
    name : str
        ``module:object``.
    call : callable
        Prompts to predictions, shape (B, P), or (B, P, k) for vectors and classes.
    """

    name: str
    call: Any

    def __call__(self, prompts: Prompts) -> PromptLabels:
        """Predictions, shape (B, P); (B, P, k) for vectors, and for classes their probabilities.

        Raises
        ------
        InvalidInputError
            If the code raises or exits, or returns anything else than these real numbers.
        """
        with own_errors(self.name, "must map prompts to predictions"):
            returned = self.call(prompts)
        if getattr(returned, "requires_grad", False):
            raise InvalidInputError(
                f"{self.name} must return numbers; a tensor with its gradient was returned: call .detach() on it, or "
                f"predict under torch.no_grad(){defined_at(self.call)}."
            )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # a cast that loses the imaginary half only warns
                values = check_reals(returned, self.name)
        except (ValueError, Warning) as error:
            raise InvalidInputError(
                f"{self.name} must return real numbers; {type(returned).__name__} was returned{defined_at(self.call)}."
            ) from error
        wanted = (*prompts.ys.shape[:2], *prompts.labels.answer_shape)
        if values.shape != wanted:
            raise InvalidInputError(
                f"{self.name} must return one prediction per prompt and position, shape {wanted}; shape "
                f"{values.shape} was returned{defined_at(self.call)}."
            )
        return values

    @property
    def dimension(self) -> int | None:
        """Dimension of the prompts that it takes, if it says so."""
        return limits_of(self.call).dimension

    @property
    def max_points(self) -> int | None:
        """Longest prompt that it takes, if it says so."""
        return limits_of(self.call).max_points

    @property
    def n_train(self) -> int | None:
        """Number of examples that it was trained for, if it says so."""
        return limits_of(self.call).n_train


def _callable(target: Any, names: Collection[str], what: str) -> Predictor:
    if isinstance(target, type) or not callable(target):
        known = f"{', '.join(names)}, " if names else ""
        raise InvalidInputError(f"{what} must be {known}a path or a predictor; {target!r} was given.")
    return cast(Predictor, target)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # longer than a name may be, or with a null byte
        return False
