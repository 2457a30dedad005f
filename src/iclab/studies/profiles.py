"""Sizes of the main job: the same code, other numbers.

``smoke`` shows that everything runs, ``laptop`` keeps the paper's proportions at d = 5, ``paper`` has the
paper's own sizes (d = 20, N = 40, 70, 100, the standard GPT-2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from iclab.foundations import check_choice


@dataclass(frozen=True)
class Profile:
    """Settings of each part of the main job, as keyword arguments of the studies' ``run``."""

    name: str
    parts: Mapping[str, Mapping[str, Any]]


# Figure 1 at the paper's dimension, and how its models read prompts: GPT-2's way, or columns.
_D20: Mapping[str, Any] = {"dimension": 20, "n_train": (40, 70, 100), "max_context": 100, "preset": "fast"}
_GPT2: Mapping[str, Any] = {"model": {"embedding": "interleaved", "attention": "softmax"}}
_COLUMNS: Mapping[str, Any] = {"model": {"embedding": "stacked", "attention": "softmax"}}
# The same at a size that shows that it runs.
_TINY: Mapping[str, Any] = {
    "dimension": 2,
    "n_train": (4, 7, 10),
    "max_context": 10,
    "preset": "tiny",
    "n_prompts": 100,
}
_SHORT: Mapping[str, Any] = {"steps": 20, "batch_size": 16}

PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(
            "smoke",
            {
                "claims": {},
                "gradient-flow": {"dimension": 3, "n_times": 60},
                "initialisation": {
                    "n_starts": 4,
                    "n_seeds": 2,
                    "n_prompts": 100,
                    "two_layer_scales": (0.1,),
                    "problems": (("fixed covariance", 2, 20, 1.0),),
                    "sizes": (0.3, 3.0),
                },
                "shifts": {"dimension": 3, "n_train": 10, "n_prompts": 2_000},
                "depth": {
                    "dimension": 3,
                    "n_train": 8,
                    "depths": (1, 2),
                    "form_depths": (1,),
                    "n_starts": 5,
                    "n_prompts": 200,
                    "n_softmax_prompts": 60,
                    "n_queries": 4,
                    "n_test": 400,
                    "n_nearest": 40,
                },
                "figure1": {
                    "dimension": 2,
                    "n_train": (4, 7, 10),
                    "max_context": 10,
                    "preset": "tiny",
                    "overrides": {"steps": 40, "batch_size": 16},
                    "n_prompts": 200,
                },
                "figure1-d20": {**_TINY, "overrides": {**_GPT2, **_SHORT}, "learned_at_n": 0.02},
                "figure1-d20-columns": {**_TINY, "overrides": {**_COLUMNS, **_SHORT}, "learned_at_n": 0.02},
                "figure1-seeds": {
                    "dimension": 2,
                    "n_train": (4, 7),
                    "max_context": 10,
                    "preset": "tiny",
                    "overrides": {"steps": 20, "batch_size": 16},
                    "n_prompts": 100,
                    "training_seeds": (0, 1, 2),
                },
                "positions": {
                    "dimension": 2,
                    "n_train": 4,
                    "preset": "tiny",
                    "overrides": {"steps": 10, "batch_size": 8, "n_evaluation": 8},
                    "n_prompts": 100,
                    "training_seeds": (0,),
                },
                "covariances": {
                    "dimension": 2,
                    "n_train": 4,
                    "cv2": (0.0, 0.3, 1.0),
                    "laws": (("gamma", 0.0), ("gamma", 1.0)),
                    "lengths": (2, 4),
                    "overrides": {"steps": 40, "batch_size": 16},
                    "n_prompts": 200,
                    "training_seeds": (0,),
                    "workers": 1,
                },
                "finite-data": {
                    "dimension": 2,
                    "n_train": 4,
                    "layer_dimension": 2,
                    "layer_n_train": 8,
                    "prompts": (64, 128, 512),
                    "n_samples": 4,
                    "batches": (8, 32),
                    "rates": (0.02, 0.08),
                    "noise_batches": (16, 64),
                    "noise_rates": (0.04, 0.08),
                    "tasks": (1, 16, None),
                    "layer_tasks": (1, 4, 16, 64, 256),
                    "n_pools": 8,
                    "n_grid": (2, 4, 8, 16, 64),
                    "m_grid": (2, 4, 8, 16, 64),
                    "measured": (4, 8, 16),
                    "overrides": {"steps": 30, "batch_size": 16},
                    "n_prompts": 400,
                    "workers": 1,
                },
                "tolerance": {
                    "dimension": 2,
                    "n_train": (4, 7, 10),
                    "max_context": 10,
                    "preset": "tiny",
                    "overrides": {"steps": 40, "batch_size": 16},
                    "n_prompts": 100,
                },
                "tolerance-d20": {
                    "dimension": 3,
                    "n_train": (6,),
                    "max_context": 10,
                    "preset": "tiny",
                    "overrides": {},
                    "n_prompts": 100,
                    "train_missing": False,
                },
                "leaderboard": {
                    "dimension": 2,
                    "ladders": {"fast": (20, 40), "garg": (40,)},
                    "training_seeds": (0, 1),
                    "n_evaluation": 64,
                },
                "leaderboard-d10": {
                    "dimension": 3,
                    "ladders": {"fast": (20,), "garg": (20,)},
                    "training_seeds": (0,),
                    "n_evaluation": 32,
                },
            },
        ),
        Profile(
            "laptop",
            {
                "claims": {},
                "gradient-flow": {},
                "initialisation": {"n_starts": 20},
                "shifts": {},
                "depth": {},
                "figure1": {
                    "dimension": 5,
                    "n_train": (10, 18, 25),
                    "max_context": 25,
                    "preset": "tiny",
                    "overrides": {},
                    "n_prompts": 4_000,
                },
                "figure1-d20": {
                    **_D20,
                    "overrides": _GPT2,
                    "n_prompts": 1_280,
                    "learned_at_n": 0.02,
                    "train_missing": False,
                },
                "figure1-d20-columns": {
                    **_D20,
                    "overrides": _COLUMNS,
                    "n_prompts": 1_280,
                    "learned_at_n": 0.02,
                    "train_missing": False,
                },
                "figure1-seeds": {
                    "dimension": 5,
                    "n_train": (10, 18, 25),
                    "max_context": 25,
                    "preset": "tiny",
                    "overrides": {},
                    "n_prompts": 4_000,
                    "training_seeds": (0, 1, 2),
                },
                "positions": {
                    "dimension": 5,
                    "n_train": 10,
                    "preset": "tiny",
                    "overrides": {},
                    "n_prompts": 2_000,
                },
                "covariances": {},
                "finite-data": {},
                "tolerance": {
                    "dimension": 5,
                    "n_train": (10, 18, 25),
                    "max_context": 25,
                    "preset": "tiny",
                    "overrides": {},
                    "n_prompts": 2_000,
                },
                "tolerance-d20": {**_D20, "overrides": _GPT2, "n_prompts": 1_000, "train_missing": False},
                "leaderboard": {
                    "dimension": 5,
                    "ladders": {
                        "fast": (2_000, 4_000),
                        "garg": (13_000,),
                        "gpt2": (2_000,),
                        "labels": (2_000,),
                        "adamw": (2_000,),
                        "constant rate": (2_000,),
                        "curriculum": (2_000,),
                        "softmax": (2_000,),
                    },
                },
                "leaderboard-d10": {
                    "dimension": 10,
                    "ladders": {
                        "fast": (2_000,),
                        "garg": (8_000,),
                        "gpt2": (2_000,),
                        "curriculum": (2_000,),
                    },
                },
            },
        ),
        Profile(
            "paper",
            {
                "claims": {},
                "gradient-flow": {"dimension": 20, "n_train": 40},
                "initialisation": {"n_starts": 200, "n_seeds": 32, "n_prompts": 10_000},
                "shifts": {"dimension": 20, "n_train": 40, "n_prompts": 100_000},
                "depth": {
                    "dimension": 10,
                    "n_train": 40,
                    "form_depths": (1, 2, 3, 4, 6),
                    "n_starts": 60,
                    "n_prompts": 20_000,
                    "n_softmax_prompts": 4_000,
                    "n_test": 200_000,
                    "n_nearest": 1_280,
                },
                "figure1": {
                    "dimension": 20,
                    "n_train": (40, 70, 100),
                    "max_context": 100,
                    "preset": "garg-linear",
                    "overrides": {},
                    "n_prompts": 1_280,
                },
                "figure1-d20": {**_D20, "overrides": _GPT2, "n_prompts": 10_000, "learned_at_n": 0.02},
                "figure1-d20-columns": {**_D20, "overrides": _COLUMNS, "n_prompts": 10_000, "learned_at_n": 0.02},
                "figure1-seeds": {
                    "dimension": 5,
                    "n_train": (10, 18, 25),
                    "max_context": 25,
                    "preset": "tiny",
                    "overrides": {},
                    "n_prompts": 20_000,
                    "training_seeds": (0, 1, 2, 3, 4, 5, 6, 7),
                },
                "positions": {
                    "dimension": 20,
                    "n_train": 40,
                    "preset": "small",
                    "overrides": {},
                    "n_prompts": 10_000,
                    "training_seeds": (0, 1, 2),
                },
                "covariances": {
                    "dimension": 20,
                    "n_train": 40,
                    "lengths": (10, 20, 40),
                    "preset": "small",
                    "n_prompts": 20_000,
                    "training_seeds": (0, 1, 2),
                },
                "finite-data": {
                    "dimension": 20,
                    "n_train": 40,
                    "layer_dimension": 5,
                    "layer_n_train": 20,
                    "prompts": (256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536),
                    "n_samples": 32,
                    "tasks": (1, 16, 64, 256, 1024, 4096, 16384, 65536, None),
                    "preset": "small",
                    "measured": (10, 20, 40, 80, 160, 320),
                    "n_grid": (10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5120),
                    "m_grid": (10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5120),
                    "n_prompts": 20_000,
                    "training_seeds": (0, 1, 2),
                },
                "tolerance": {
                    "dimension": 20,
                    "n_train": (40, 70, 100),
                    "max_context": 100,
                    "preset": "garg-linear",
                    "overrides": {},
                    "n_prompts": 10_000,
                },
                "tolerance-d20": {**_D20, "overrides": _GPT2, "n_prompts": 10_000},
                "leaderboard": {
                    "dimension": 5,
                    "ladders": {
                        "fast": (2_000, 4_000, 8_000, 16_000),
                        "garg": (160_000,),
                        "garg, our targets": (40_000,),
                        "garg, our optimiser": (16_000,),
                        "tiny": (2_000, 4_000, 8_000, 16_000),
                        "tokens in turn": (2_000, 4_000, 8_000, 16_000),
                        "gpt2": (2_000, 4_000, 8_000, 16_000),
                        "labels": (2_000, 4_000, 8_000, 16_000),
                        "adamw": (2_000, 4_000, 8_000, 16_000),
                        "adam": (2_000, 4_000, 8_000, 16_000),
                        "constant rate": (2_000, 4_000, 8_000, 16_000),
                        "cosine": (2_000, 4_000, 8_000, 16_000),
                        "curriculum": (2_000, 4_000, 8_000, 16_000),
                        "garg curriculum": (2_000, 4_000, 8_000, 16_000),
                        "softmax": (2_000, 4_000, 8_000, 16_000),
                        "softmax, no curriculum": (2_000, 4_000, 8_000, 16_000),
                    },
                    "training_seeds": (0, 1, 2, 3, 4),
                    "n_evaluation": 2_000,
                },
                "leaderboard-d10": {
                    "dimension": 10,
                    "ladders": {
                        "fast": (4_000, 8_000, 16_000),
                        "garg": (160_000,),
                        "garg, our targets": (40_000,),
                        "garg, our optimiser": (16_000,),
                        "tiny": (4_000, 8_000, 16_000),
                        "tokens in turn": (4_000, 8_000, 16_000),
                        "gpt2": (4_000, 8_000, 16_000),
                        "labels": (4_000, 8_000, 16_000),
                        "adamw": (4_000, 8_000, 16_000),
                        "adam": (4_000, 8_000, 16_000),
                        "constant rate": (4_000, 8_000, 16_000),
                        "cosine": (4_000, 8_000, 16_000),
                        "curriculum": (4_000, 8_000, 16_000),
                        "garg curriculum": (4_000, 8_000, 16_000),
                        "softmax": (4_000, 8_000, 16_000),
                        "softmax, no curriculum": (4_000, 8_000, 16_000),
                    },
                    "training_seeds": (0, 1, 2, 3, 4),
                    "n_evaluation": 2_000,
                },
            },
        ),
    )
}


def get_profile(name: str) -> Profile:
    """The profile of that name.

    Raises
    ------
    InvalidInputError
        If there is none.
    """
    return PROFILES[check_choice(name, "profile", PROFILES)]
