"""The fields of a Hugging Face GPT-2's configuration: which change what it computes, and which do not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from iclab.foundations import InvalidInputError, check_integer

# Of a GPT-2's configuration: what it must hold, what must have a value that our model has, and what does not change the
# function from tokens to hidden states in evaluation.
_GPT2 = ("n_positions", "n_embd", "n_layer", "n_head")
_FIXED: dict[str, tuple[Any, ...]] = {
    "activation_function": ("gelu_new", "gelu"),
    "layer_norm_epsilon": (1e-5,),
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "add_cross_attention": (False,),
    "is_encoder_decoder": (False,),
    "chunk_size_feed_forward": (0,),
}
_HARMLESS = [
    "_attn_implementation",
    "_name_or_path",
    "architectures",
    "attn_implementation",
    "attn_pdrop",
    "bos_token_id",
    "dtype",
    "embd_pdrop",
    "eos_token_id",
    "gradient_checkpointing",
    "id2label",
    "initializer_range",
    "is_decoder",
    "label2id",
    "model_type",
    "n_ctx",
    "n_train",
    "num_labels",
    "output_attentions",
    "output_hidden_states",
    "pad_token_id",
    "problem_type",
    "reorder_and_upcast_attn",
    "resid_pdrop",
    "return_dict",
    "sep_token_id",
    "summary_activation",
    "summary_first_dropout",
    "summary_proj_to_labels",
    "summary_type",
    "summary_use_proj",
    "task_specific_params",
    "tie_word_embeddings",
    "tokenizer_class",
    "torch_dtype",
    "torchscript",
    "transformers_version",
    "use_cache",
    "vocab_size",
]


def check_gpt2(config: Mapping[str, Any], where: str) -> None:
    """Refuse every field that is not known to leave the function alone, or has another value than ours has.

    Raises
    ------
    InvalidInputError
        Of the first of them.
    """
    missing = [key for key in _GPT2 if key not in config]
    if missing:
        raise InvalidInputError(f"{where} must have {', '.join(_GPT2)}; {missing[0]!r} is missing.")
    for key in _GPT2:
        check_integer(config[key], f"{key} in {where}", minimum=1)
    for key, value in config.items():
        if key in _FIXED:
            if value not in _FIXED[key] or isinstance(value, bool) != isinstance(_FIXED[key][0], bool):
                raise InvalidInputError(
                    f"{key} in {where} must be {' or '.join(map(str, _FIXED[key]))}, as in the models read here; "
                    f"{value!r} was found."
                )
        elif key == "n_inner":
            if value not in (None, 4 * config["n_embd"]):
                raise InvalidInputError(f"n_inner in {where} must be 4·n_embd; {value!r} was found.")
        elif key not in _HARMLESS and key not in _GPT2:
            raise InvalidInputError(
                f"{where} must have only fields that are understood here; {key!r} may change what the model computes: "
                "remove it if it does not."
            )
