"""What mixes tokens within a block, one family per file, all of them one call.

A *mixer* is a torch module made from an architecture; ``mixer(x, layout, rows)`` maps tokens (B, T, w) to the updates
of the tokens ``rows``, each from itself and from the tokens that the layout lets it see. ``MIXERS`` names them. A mixer
whose weights start from a law of their own has ``initialise(rng)``, called after GPT-2's law has set the rest.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from iclab.models.architecture import ATTENTION, Architecture
from iclab.models.mixers.attention import Attention
from iclab.models.mixers.decay import GatedLinearAttention, Retention
from iclab.models.mixers.delta import DeltaNet, GatedDeltaNet
from iclab.models.mixers.mamba2 import Mamba2
from iclab.models.mixers.merged import MergedLinearAttention
from iclab.models.mixers.mesa import Mesa
from iclab.models.mixers.recurrent import Recurrent

MIXERS: dict[str, Callable[[Architecture, str], nn.Module]] = {
    "softmax": Attention,
    "linear": Attention,
    "merged": MergedLinearAttention,
    "retention": Retention,
    "gla": GatedLinearAttention,
    "delta": DeltaNet,
    "gated_delta": GatedDeltaNet,
    "mesa": Mesa,
    "mamba2": Mamba2,
    "lstm": Recurrent,
    "gru": Recurrent,
}

__all__ = ["ATTENTION", "MIXERS", "Attention", "MergedLinearAttention"]
