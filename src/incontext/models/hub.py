"""Trained models on the Hugging Face hub, through the mixin of ``huggingface_hub`` (the extra ``hub``)."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any, Self

from huggingface_hub import ModelHubMixin, snapshot_download

from incontext.foundations import PromptLabels
from incontext.models.predictor import TransformerPredictor, load
from incontext.models.storage import describe, save_model
from incontext.prompts import Prompts


class HubPredictor(ModelHubMixin, library_name="incontext", tags=["in-context-learning"]):
    """A predictor with ``save_pretrained``, ``push_to_hub`` and ``from_pretrained``.

    Parameters
    ----------
    predictor : TransformerPredictor
        What ``incontext.models.load`` returns.
    """

    def __init__(self, predictor: TransformerPredictor) -> None:
        self.predictor = predictor
        # What the mixin writes as config.json, instead of the arguments of this constructor.
        self._hub_mixin_config = {"architecture": describe(predictor.architecture)}

    def __call__(self, prompts: Prompts) -> PromptLabels:
        """Predictions at every position, shape (B, P)."""
        return self.predictor(prompts)

    def _save_pretrained(self, save_directory: Path) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            save_model(self.predictor.model, Path(scratch) / "model")
            for path in (Path(scratch) / "model").iterdir():
                shutil.copy(path, save_directory / path.name)

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
        token: str | bool | None = None,
        **_: Any,
    ) -> Self:
        folder = model_id
        if not Path(model_id).is_dir():
            folder = snapshot_download(
                model_id,
                revision=revision,
                cache_dir=cache_dir,
                force_download=force_download,
                local_files_only=local_files_only,
                token=token,
            )
        return cls(load(folder))
