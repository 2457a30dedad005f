"""``iclab inspect``: a page on what a model computes inside."""

from __future__ import annotations

from pathlib import Path

from iclab.cli.arguments import Whole
from iclab.cli.output import say


def inspect(
    target: str,
    *,
    points: Whole | None = None,
    prompts: Whole = 1000,
    seed: Whole = 0,
    directory: Path = Path("inspection"),
    allow_code: bool = False,
) -> int:
    """Look inside a model, and write a page: error, attention, read-outs by block, probes, heads that matter.

    The prompts are those that it was trained on, where its folder says so, else linear functions of standard normal
    inputs.

    Parameters
    ----------
    target
        A run or a saved model (a folder), or a model that ships with the package (by name).
    points
        Positions, for 0 … points − 1 examples: one more than examples in training when omitted, else 2d + 1.
    prompts
        Most prompts of any part; long prompts are fewer.
    seed
        Seed of the prompts.
    directory
        Where the page goes, with figures and tables beside it.
    allow_code
        Run the code that a folder names (a module of your own, kind: own).
    """
    import torch

    from iclab.cli.progress import Reporter, plain_warnings
    from iclab.foundations import InvalidInputError, check_integer, require_writable, user_path
    from iclab.inspect import overview
    from iclab.models import load
    from iclab.predictors import REGISTRY
    from iclab.prompts import Gaussian, Linear, PromptDistribution
    from iclab.prompts.labels import REAL
    from iclab.report.inspection import write_inspection
    from iclab.targets import training_of

    check_integer(seed, "seed", minimum=0)
    check_integer(prompts, "prompts", minimum=12)
    if target in REGISTRY and not user_path(target).exists():
        raise InvalidInputError(f"target must be a model with an inside; {target} is computed in closed form.")
    with plain_warnings():
        model = load(target, device="auto", allow_code=allow_code)
    config = training_of(model, allow_code=allow_code)
    architecture = model.architecture
    if config is not None:
        law = config.prompts.build()
    elif architecture.dimension and architecture.labels == REAL:
        law = PromptDistribution(Gaussian.isotropic(architecture.dimension), Linear())
    else:
        raise InvalidInputError(
            f"{target} must say what it was trained on, by a config.yaml in its folder; it does not: inspect a run."
        )
    usual = (model.n_train or 2 * (law.dimension or 20)) + 1
    most = architecture.max_points if architecture.bounded else usual
    count = check_integer(min(usual, most) if points is None else points, "points", minimum=2)
    directory = user_path(directory)
    require_writable(directory)
    name = Path(user_path(target)).resolve().name if user_path(target).exists() else target
    with Reporter() as progress, torch.random.fork_rng(devices=[]):
        found = overview(model, law, count, n_prompts=prompts, seed=seed, progress=progress)
        page = write_inspection(name, found.facts, found.tables, found.patterns, directory, progress)
    say(page)
    return 0
