"""A run: the folder that holds a training's configuration, checkpoints and metrics."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from iclab.foundations import InvalidInputError, read_json, user_path, write_text
from iclab.foundations.errors import printable
from iclab.foundations.seals import sealed, sealed_line
from iclab.foundations.tables import as_csv
from iclab.models import TransformerPredictor, load, save_model
from iclab.models.predictor import last_whole
from iclab.models.storage import CONFIG
from iclab.prompts.reading import allowed_code
from iclab.training.card import card_of, page_of
from iclab.training.config import TrainingConfig, differences, write_yaml
from iclab.training.metrics import METRICS, STATE, deleted, metrics_of
from iclab.training.precision import decided
from iclab.training.reading import read_config
from iclab.training.reporting import reference_of
from iclab.training.series import Checkpoint, kept_weights

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Run:
    """A training's folder: ``config.yaml``, ``metrics.jsonl``, ``checkpoints/<step>/`` and maybe ``series/<step>/``.

    Attributes
    ----------
    directory : Path
        The folder.
    config : TrainingConfig
        What is trained there.
    """

    directory: Path
    config: TrainingConfig

    @classmethod
    def open(cls, directory: str | Path, *, allow_code: bool | Collection[str] = False) -> Self:
        """The run in a folder. Opening it runs nothing that its configuration names.

        Parameters
        ----------
        directory : str or Path
            The folder.
        allow_code : bool or collection of str
            Whether code of your own that the configuration names (``module:object``) may run later, or which.

        Raises
        ------
        InvalidInputError
            If there is none.
        """
        directory = user_path(directory)
        if not (directory / CONFIG).exists():
            raise InvalidInputError(f"{directory} must be the folder of a run; it holds no {CONFIG}.")
        config = read_config(directory / CONFIG, allow_code=allow_code)
        if config.optimizer.kind == "muon" and config.optimizer.matrix_precision == "auto":
            # Begun by a version that had no choice.
            config = config.with_(optimizer=replace(config.optimizer, matrix_precision="bfloat16"))
        if config.kernels == "auto" and config.kerneled:
            config = config.with_(kernels="own")
        return cls(directory, config)

    @classmethod
    def create(cls, directory: Path, config: TrainingConfig) -> Self:
        """A run of ``config`` in a folder: a new one, or the one of the same configuration that is there.

        What the configuration leaves to the machine is decided for a new run, and is as it was decided for one that is
        there.

        Raises
        ------
        InvalidInputError
            If the folder holds a run of another configuration.
        """
        if (directory / CONFIG).exists():
            run = cls.open(directory, allow_code=allowed_code(config))
            changed = differences(run.config.as_dict(), config.filled_from(run.config).as_dict())
            if changed:
                raise InvalidInputError(
                    f"{directory} must be empty or hold a run of the same configuration; it differs in "
                    f"{', '.join(changed)}: choose another directory."
                )
            return run
        config = decided(config)
        write_text(directory / CONFIG, sealed(write_yaml(config)))
        return cls(directory, config)

    @property
    def step(self) -> int:
        """Steps done, as of the last whole checkpoint."""
        folder, _ = last_whole(self.directory)
        return 0 if folder is None else int(folder.name)

    @property
    def device(self) -> str | None:
        """What it last ran on: "cpu", or the name of a GPU; None if that was not recorded."""
        folder, _ = last_whole(self.directory)
        return None if folder is None else read_json(folder / STATE).get("device")

    @property
    def finished(self) -> bool:
        """Whether the last step is on disk."""
        return self.step >= self.config.steps

    def checkpoints(self) -> list[Checkpoint]:
        """The weights that ``checkpoints`` of the configuration keeps, as far as the training has come, by step.

        Each has a ``step``, the ``path`` of a folder that ``iclab.models.load`` reads, and a ``predictor()``.
        """
        return kept_weights(self.directory, allow_code=bool(allowed_code(self.config.model)))

    def predictor(self, device: str = "cpu", *, half: bool = False) -> TransformerPredictor:
        """The model of the last whole checkpoint; with ``half``, its weights rounded as ``export`` would store them."""
        predictor = load(self.directory, device=device, allow_code=bool(allowed_code(self.config.model)))
        if half:
            predictor.model.half().float()
        return predictor

    def check_there(self) -> None:
        """Notice that the folder of a running training was deleted or moved.

        Raises
        ------
        InvalidInputError
            If its configuration is gone.
        """
        if not (self.directory / CONFIG).exists():
            raise deleted(self.directory / CONFIG)

    @property
    def card(self) -> dict[str, Any]:
        """What a user of the trained model should know: how it was trained, towards what, and how well it does."""
        return card_of(self.config, self.step, self.metrics, self.device)

    def export(self, folder: str | Path, evaluation: pd.DataFrame | None = None, *, half: bool = False) -> None:
        """Save the model of the last whole checkpoint with all that is known of it into a folder of its own.

        Beside weights and architecture the folder holds ``README.md`` (the model card), ``card.json``,
        ``config.yaml``, ``metrics.jsonl`` and, if given, ``evaluation.csv``. It loads like any other model.

        Parameters
        ----------
        folder : str or Path
            Its name is the model's.
        evaluation : pandas.DataFrame, optional
            As ``training.card.judge`` returns it; the card then shows it.
        half : bool
            Whether to store the weights in half precision.

        Raises
        ------
        InvalidInputError
            If there is no checkpoint yet, or the folder holds something else than a saved model.
        """
        folder = Path(folder)
        model, card = self.predictor().model, self.card
        texts = {
            CONFIG: write_yaml(self.config),
            METRICS: "".join(sealed_line(line) + "\n" for line in self.metrics),
            "README.md": page_of(printable(folder.resolve().name), self.config, card, model.n_parameters, evaluation),
        }
        if evaluation is not None:
            texts["evaluation.csv"] = as_csv(evaluation)
        save_model(model, folder, card=card, texts=texts, half=half)

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """The lines of ``metrics.jsonl``, also while the training runs; a torn last line is left out.

        Raises
        ------
        InvalidInputError
            If a line is damaged, or lines that the latest checkpoint knows of are missing.
        """
        return metrics_of(self.directory)

    def losses(self) -> pd.DataFrame:
        """Step, loss and what else was logged, one row per line of metrics without evaluations.

        Columns of several numbers are named with a dot, such as ``learning_rates.muon``.
        """
        import pandas as pd

        return pd.json_normalize([line for line in self.metrics if "loss" in line])

    def evaluations(self) -> pd.DataFrame:
        """Tidy held-out errors: step, position, mean, stderr, least_squares (all raw, squared).

        Those of classes are cross-entropies, with ``true_law`` in place of ``least_squares`` (NaN where it is unknown).
        """
        import pandas as pd

        name = reference_of(self.config.architecture.labels)
        rows = [
            {"step": line["step"], "position": i, "mean": mean, "stderr": stderr, name: reference}
            for line in self.metrics
            if "error" in line
            for i, (mean, stderr, reference) in enumerate(
                zip(line["error"], line["stderr"], line.get(name, [math.nan] * len(line["error"])), strict=True)
            )
        ]
        return pd.DataFrame(rows, columns=["step", "position", "mean", "stderr", name])
