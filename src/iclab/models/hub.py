"""Trained models on the Hugging Face hub, through the mixin of ``huggingface_hub`` (the extra ``hub``)."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from huggingface_hub import ModelCard, ModelHubMixin, snapshot_download
from jaxtyping import Float64, Int64

from iclab.foundations import PromptLabels
from iclab.models.architecture import Architecture
from iclab.models.exchange import licence_of
from iclab.models.own import Model, OwnModel, OwnModule
from iclab.models.predictor import TransformerPredictor, load
from iclab.models.storage import (
    CONFIG,
    MANIFEST,
    PAGE,
    describe,
    listed_files,
    read_model,
    replace_text,
    save_model,
    verify,
)
from iclab.prompts import Prompts

# For a model that comes without a card of its own.
_CARD = """---
{{ card_data }}
---

# A transformer that learns in context

Made with iclab. `architecture.json` says what it is; how it was trained is known only as far as `config.yaml` or
`card.json` beside it say.

```python
from iclab.models.hub import HubPredictor

predictor = HubPredictor.from_pretrained("the name of this repository")  # maps prompts to predictions
```
"""


class HubPredictor(ModelHubMixin, library_name="iclab", tags=["in-context-learning"], model_card_template=_CARD):
    """A predictor with ``save_pretrained``, ``push_to_hub`` and ``from_pretrained``.

    A saved model goes with all that its folder holds: card, configuration, metrics, evaluation. A run goes with its
    configuration; export it first for a card. If the weights were changed since they were loaded, what the folder
    says does not hold for them and stays behind.

    Parameters
    ----------
    predictor : TransformerPredictor
        What ``iclab.models.load`` returns.
    licence : str, optional
        Of the weights, for the card, as Hugging Face calls it, such as "mit". When omitted it is that of the package
        for a model that ships with it, else what the card says already, else "unknown".

    Raises
    ------
    InvalidInputError
        If ``licence`` is no identifier.
    """

    def __init__(self, predictor: TransformerPredictor, *, licence: str | None = None) -> None:
        self.predictor = predictor
        self._licence = None if licence is None else licence_of(None, licence)
        # What the mixin writes as config.json, instead of the arguments of this constructor.
        self._hub_mixin_config = {"architecture": describe(predictor.architecture)}

    def __call__(self, prompts: Prompts) -> PromptLabels:
        """Predictions at every position, shape (B, P)."""
        return self.predictor(prompts)

    def answer(
        self,
        xs: Float64[np.ndarray, "B N d"],
        ys: Float64[np.ndarray, "B N"] | Int64[np.ndarray, "B N"],
        queries: Float64[np.ndarray, "Q d"],
    ) -> PromptLabels:
        """Predictions for the same queries from each of several contexts, as of ``TransformerPredictor.answer``."""
        return self.predictor.answer(xs, ys, queries)

    @property
    def architecture(self) -> Architecture | OwnModel:
        """What the model is."""
        return self.predictor.architecture

    @property
    def n_train(self) -> int | None:
        """Number of examples N that it was trained for, if known."""
        return self.predictor.n_train

    def _save_pretrained(self, save_directory: Path) -> None:
        model, folder = self.predictor.model, self.predictor.folder
        origin = folder if folder is not None and _unchanged(model, folder) else None
        with tempfile.TemporaryDirectory() as scratch:
            source = Path(scratch) / "model"
            if origin is None:
                save_model(model, source)
            elif origin.parent.name == "checkpoints":
                config = origin.parent.parent / CONFIG
                texts = {CONFIG: config.read_text(encoding="utf-8")} if config.is_file() else None
                save_model(model, source, texts=texts)
            else:
                source = origin
            files = _files(source)
            for stale in _files(save_directory) - files:
                (save_directory / stale).unlink(missing_ok=True)
            for name in files:
                if not (save_directory / name).exists() or not (save_directory / name).samefile(source / name):
                    shutil.copy(source / name, save_directory / name)
            # The card that comes with the model, else one that was written there by hand or by an earlier call.
            for page in (source / PAGE, save_directory / PAGE):
                if page.is_file():
                    text = str(self._with_fields(page.read_text(encoding="utf-8"), origin))
                    replace_text(save_directory, PAGE, text)
                    break

    def generate_model_card(self, *args: Any, **kwargs: Any) -> ModelCard:
        """The card of a model that comes without one."""
        return self._with_fields(str(super().generate_model_card(*args, **kwargs)), None)

    def _with_fields(self, page: str, origin: Path | None) -> ModelCard:
        """A card with the fields that the hub reads; those that it has stay, unless another licence was named."""
        card = ModelCard(page if page.startswith("---\n") else f"---\n{{}}\n---\n\n{page.lstrip()}")
        for name, value in self._hub_mixin_info.model_card_data.to_dict().items():
            if card.data.get(name) is None:
                card.data[name] = value
        if self._licence is not None or card.data.get("license") is None:
            card.data["license"] = licence_of(origin, self._licence)
        return card

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


def _unchanged(model: Model, folder: Path) -> bool:
    """Whether a model has the weights that its folder holds."""
    if verify(folder) is not None:
        return False
    here, there = model.state_dict(), read_model(folder, allow_code=isinstance(model, OwnModule)).state_dict()
    return here.keys() == there.keys() and all(torch.equal(here[key].cpu(), there[key]) for key in here)


def _files(folder: Path) -> set[str]:
    """Names of the files that make up a saved model."""
    if not (folder / MANIFEST).is_file():
        return set()
    listed = (name for name in listed_files(folder) if Path(name).name == name)
    return {MANIFEST, *(name for name in listed if name != PAGE or (folder / name).is_file())}
