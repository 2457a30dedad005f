"""What goes beside a model's weights into a Hugging Face folder."""

from __future__ import annotations

from iclab.foundations import InvalidInputError
from iclab.foundations.documents import read_document, read_text
from iclab.models import Architecture, TransformerPredictor
from iclab.models.exchange import licence_of
from iclab.models.storage import CARD, CONFIG
from iclab.training.card import bare_page_of, page_of
from iclab.training.config import write_yaml
from iclab.training.metrics import METRICS
from iclab.training.run import Run

EVALUATION = "evaluation.csv"


def shared_texts(
    predictor: TransformerPredictor, name: str, licence: str | None = None, *, allow_code: bool = False
) -> dict[str, str]:
    """The model card for Hugging Face, and what it tells of: configuration, metrics, evaluation, as far as known.

    Parameters
    ----------
    predictor : TransformerPredictor
        A GPT-2, as ``iclab.models.load`` returns it.
    name : str
        Of the folder.
    licence : str, optional
        Of the weights, as Hugging Face calls it, such as "mit". When omitted it is that of the package for a model that
        ships with it, else "unknown".
    allow_code : bool
        Whether code of your own that the configuration names may be imported.

    Returns
    -------
    dict
        File names to texts.

    Raises
    ------
    InvalidInputError
        If ``licence`` is no identifier, or a file of the model is damaged.
    """
    folder, model, architecture = predictor.folder, predictor.model, predictor.architecture
    licence = licence_of(folder, licence)
    if not isinstance(architecture, Architecture):
        raise InvalidInputError("only a GPT-2 can be written for Hugging Face; a module of your own was given.")
    home = None if folder is None else folder.parent.parent if folder.parent.name == "checkpoints" else folder
    if home is not None and (home / CONFIG).is_file():
        run = Run.open(home, allow_code=allow_code)
        card = run.card if home != folder else read_document(home / CARD) if (home / CARD).is_file() else {}
        if "steps" in card:
            import pandas as pd

            table = pd.read_csv(home / EVALUATION) if (home / EVALUATION).is_file() else None
            page = page_of(name, run.config, card, model.n_parameters, table, licence=licence)
            beside = {each: read_text(home / each) for each in (METRICS, EVALUATION) if (home / each).is_file()}
            return {"README.md": page, CONFIG: write_yaml(run.config), **beside}
    return {"README.md": bare_page_of(name, architecture, model.n_parameters, licence)}
