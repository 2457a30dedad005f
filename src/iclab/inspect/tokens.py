"""Which token of a sequence is what of the prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from iclab.models import OwnModule, Transformer
from iclab.models.embedding import layout
from iclab.prompts import Prompts

if TYPE_CHECKING:
    import pandas as pd

ROLES = ("start", "input", "label", "example", "query")


def token_table(model: Transformer | OwnModule, prompts: Prompts) -> pd.DataFrame:
    """A row per token of the sequence that a transformer makes of a prompt.

    Parameters
    ----------
    model : Transformer or OwnModule
        Of a module of one's own nothing is known: its table is empty.
    prompts : Prompts
        P positions, with queries of their own or without.

    Returns
    -------
    DataFrame
        Columns token, role, example, position. An "input" x_i is followed by its "label"; an "example" is a column
        (x_i, y_i); a "query" is a branch that only it sees; a sequence of labels begins with an empty "start" (example
        −1). Position i is read at a token that sees i examples and its own query; −1 where none is read.
    """
    import pandas as pd

    if isinstance(model, OwnModule):
        return pd.DataFrame({"token": [], "role": [], "example": [], "position": []})
    arrangement, count = model.architecture.arrangement, prompts.n_points
    where = layout(arrangement, count, prompts.shifted_queries, torch.device("cpu"))
    tokens = np.arange(len(where.positions))
    if arrangement == "sequence":
        roles, examples = np.where(tokens == 0, "start", "label"), tokens - 1
    else:
        stacked = arrangement == "stacked"
        context, numbers = tokens[: where.context], tokens[: where.branches]
        own = np.full(len(context), "example") if stacked else np.where(context % 2, "label", "input")
        roles = np.concatenate([own, np.full(where.branches, "query")])
        examples = np.concatenate([context if stacked else context // 2, numbers])
    positions = np.full(len(tokens), -1)
    positions[where.readout] = np.arange(count)
    return pd.DataFrame({"token": tokens, "role": roles, "example": examples, "position": positions})
