"""Odd inputs in any number, each a pure function of its seed."""

from __future__ import annotations

import copy
import math
import random
from typing import Any

# What people and programs write where a number, a word, a list or a mapping belongs.
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 3, 7, -0.0, 0.5, 1e-300, 1e300, -1e300, 1e16, 2**31, 2**63, 2**64, 10**30, 1e-12,
    math.inf, -math.inf, math.nan, "", " ", "yes", "no", "1", "1e6", "0x10", "1:30", "017", "null", "nan", "-", "~",
    "é", "\x00", "\x1b[31m", "a\nb", "={}", "os:system", "a:b:c", "${HOME}", "{{ x }}", "%s", "x" * 3000, [], [[]],
    [1], [1, 2], [1, "2"], [[1, 0], [0, 1]], [[1, 2], [2, 1]], [[1], [2, 3]], [None], {}, {"kind": "x"}, {"a": {}},
    {"kind": None}, {"kind": ["gaussian"]}, [{}], {"start": 1, "end": 2}, {"start": 1, "end": 1e300, "increment": 1},
)  # fmt: skip

BASES: tuple[dict[str, Any], ...] = (
    {"preset": "tiny", "dimension": 2, "n_train": 4, "steps": 20},
    {"preset": "lsa", "dimension": 3, "steps": 10, "covariates": "random-exponential"},
    {"preset": "garg-linear", "dimension": 5, "optimizer": {"learning_rate": 1e-4}},
    {
        "prompts": {"covariates": {"kind": "gaussian", "dimension": 3}, "tasks": {"kind": "linear"}, "noise": 0.5},
        "model": {"dimension": 3, "max_points": 9, "width": 16, "layers": 1, "heads": 2},
        "n_train": 8,
        "steps": 20,
        "batch_size": 4,
        "optimizer": {"kind": "adamw", "learning_rate": 1e-3, "betas": [0.9, 0.99], "weight_decay": 0.1, "clip": 1.0},
        "schedule": {"warmup": 2, "decay": 0.5, "shape": "cosine"},
        "curriculum": {
            "dimensions": {"start": 1, "end": 3, "increment": 1, "every": 2},
            "fields": {"prompts.noise": {"start": 0.0, "end": 0.5, "increment": 0.1, "every": 2}},
        },
    },
    {
        "preset": "tiny",
        "targets": "labels",
        "prompts": {
            "covariates": {"kind": "random_diagonal", "dimension": 5, "law": {"name": "gamma", "a": 2, "scale": 1}},
            "tasks": {"kind": "scaled", "tasks": {"kind": "sparse_linear", "nonzeros": 2}, "factor": 2.0},
            "outliers": {"probability": 0.1, "scale": 3.0},
            "shift": "scale-x=2",
        },
    },
    {
        "preset": "tiny",
        "dimension": 3,
        "targets": "labels",
        "prompts": {"covariates": {"kind": "gaussian", "spectrum": [2.0, 1, 0.5]}},
    },
    {
        "preset": "tiny",
        "dimension": 2,
        "n_train": 4,
        "steps": 20,
        "clamp": [{"activation": "blocks.0.attention.mixed", "head": 1, "to": 0.0}],
        "checkpoints": {"spacing": "log", "count": 5, "precision": "half"},
        "init_from": "runs/other",
    },
    {
        "prompts": {"kind": "markov_chains", "n_symbols": 3, "concentration": 1.0, "order": 1},
        "model": {
            "dimension": 0,
            "max_points": 9,
            "width": 16,
            "layers": 2,
            "heads": 2,
            "head": "classes",
            "outputs": 3,
        },
        "n_train": 8,
        "steps": 20,
        "batch_size": 4,
    },
    {
        "prompts": {
            "covariates": {"kind": "wishart", "dimension": 3, "degrees": 5},
            "tasks": {"kind": "vector_linear", "outputs": 2},
        },
        "model": {
            "dimension": 3,
            "max_points": 9,
            "width": 16,
            "layers": 2,
            "heads": 2,
            "outputs": 2,
            "mixers": ["delta", "softmax"],
        },
        "n_train": 8,
        "steps": 20,
        "targets": "labels",
    },
    {
        "prompts": {
            "covariates": {"kind": "gaussian", "dimension": 3},
            "tasks": {"kind": "finite_pool", "n_tasks": 4, "dimension": 3, "seed": 1},
        },
        "model": {"kind": "own", "object": "mine:Net", "arguments": {"d": 3}, "head": "mean"},
        "n_train": 8,
        "steps": 20,
        "batch_size": 4,
        "loss_at": "query",
    },
)


def places(data: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in nested data."""
    found = [here] if here else []
    if isinstance(data, dict | list):
        for key, value in data.items() if isinstance(data, dict) else enumerate(data):
            found += places(value, (*here, key))
    return found


_KEYS = ("kind", "dimension", "scale", "stepz", "noise", "matrix", "seed", "heads", "loss_at", "x" * 50)


def configuration(seed: int) -> dict[str, Any]:
    """A configuration that is valid but for one to three odd things, perhaps."""
    rng = random.Random(seed)
    data = copy.deepcopy(rng.choice(BASES))
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        *path, last = rng.choice(places(data))
        parent: Any = data
        for part in path:
            parent = parent[part]
        deed = rng.random()
        value = parent[last]
        if deed < 0.3 and isinstance(value, int | float) and not isinstance(value, bool):
            parent[last] = rng.choice((value + 1, value - 1, 2 * value, value / 2, -value, value * 1e6, float(value)))
        elif deed < 0.7:
            parent[last] = copy.deepcopy(rng.choice(ODD))
        elif deed < 0.8:
            del parent[last]
        elif isinstance(parent, dict):
            name = rng.choice(
                ("kind", "dimension", "scale", "stepz", "noise", "matrix", "seed", "heads", "loss_at", "x" * 50)
            )
            parent[name] = copy.deepcopy(rng.choice(ODD))
        else:
            parent.append(copy.deepcopy(rng.choice(ODD)))
    return data


_WORDS = (
    "zero", "ridge", "least_squares", "lsa", "--json", "--suite", "standard", "garg", "paper", "none", "--against", "2",
    "--prompts", "--dimension", "--points", "--seed", "--jobs", "-1", "0", "1e9", "1e300", "nan", "inf", "", " ", "é",
    "--output", "t.csv", "t.xyz", "--figure", "f.svg", "--nearest", "--beyond", "math:sin", "os:system", "a:b", "~/x",
    "--n-train", "5", "--covariance", "identity:d=2", "power:d=3,alpha=1", "power:d=1e9", "identity:d=-1", "c.csv",
    "--data", "d.csv", "--columns", "a,b", "--scale", "1e-3", "--theta", "random:seed=1", "--start", "normal:size=1",
    "s.npz", "--t-end", "--set", "steps=3", "steps=1e300", "model.width=16", "optimizer.kind=sgd", "x=1", "seed=yes",
    "--check", "tiny", "lsa", "m.yaml", "--directory", "run", "--resume", "--curve", "--from", "hugging-face", "--to",
    "--problem", "own", "{kind: markov_chains, n_symbols: 2}", "{kind: gaussian_mixture, dimension: 2, radius: 1}",
    "{tasks: {kind: own, object: 'os:system'}}", "--score", "accuracy", "squared_error", "bigram", "bayes",
    "--help", "--version", "--no-json", "--", "-", "--=", "\x1b[31m", "x" * 400,
)  # fmt: skip


def command_line(seed: int) -> list[str]:
    """A command line of a verb and words that are arguments of some verb. None of them trains or reproduces."""
    rng = random.Random(seed)
    verb = rng.choice(("evaluate", "flow", "train", "exchange", "inspect", "sweep", "study", "nonsense"))
    words = [rng.choice(_WORDS) for _ in range(rng.randrange(8))]
    if verb == "evaluate" and rng.random() < 0.5:
        words = ["zero", "--suite", "standard", "--prompts", "2", "--dimension", "2", *words[:3]]
    elif verb == "evaluate" and rng.random() < 0.5:
        law = "{kind: markov_chains, n_symbols: 2}"
        words = ["bigram", "--problem", law, "--points", "4", "--prompts", "2", *words[:3]]
    if verb == "flow" and rng.random() < 0.7:
        words = ["--n-train", "5", "--covariance", "identity:d=2", *words[:3]]
    if verb == "train":
        words = ["tiny", *words, "--check"]
    if verb in ("sweep", "study", "inspect"):
        words = words[:1]
    return [verb, *words]


def flipped(content: bytes, seed: int) -> bytes:
    """The content with one bit turned."""
    rng = random.Random(seed)
    changed = bytearray(content)
    changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def damaged(content: bytes, seed: int) -> bytes:
    """The content as crashes, editors and forgers leave it."""
    rng = random.Random(seed)
    place = rng.randrange(len(content) + 1)
    ways = (
        lambda: flipped(content, seed),
        lambda: content[:place],
        lambda: content[:place] + bytes(rng.randrange(256) for _ in range(8)) + content[place:],
        lambda: b"",
        lambda: content[place:],
        lambda: content * 2,
        lambda: bytes(len(content)),
        lambda: content.replace(b"1", rng.choice((b"-1", b"1e999", b"null", b'"1"', b"true", b"99999999")), 1),
        lambda: content.replace(b"{", b"[" * 5000, 1),
        lambda: content.replace(b",", b",,", 1),
    )
    return rng.choice(ways)()
