"""``iclab exchange``: models from and to other formats."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from iclab.cli.arguments import Whole
from iclab.cli.output import say


def exchange(
    source: Path,
    target: Path,
    /,
    *,
    from_: Annotated[Literal["iclab", "garg", "hugging-face"], Parameter(name="--from")] = "iclab",
    to: Literal["iclab", "hugging-face"] = "iclab",
    step: Whole | None = None,
    dimension: Whole | None = None,
    suite: str | None = None,
    prompts: Whole | None = None,
    half: bool = False,
    licence: str | None = None,
    allow_code: bool = False,
) -> int:
    """Convert a model from and to other formats.

    Parameters
    ----------
    source
        Folder to read: a run or saved model of this package, a run of Garg et al.'s code (config.yaml, state.pt), or a
        Hugging Face GPT-2. A run becomes a saved model with its configuration, metrics and a card that says how it
        was trained and how well it does.
    target
        Folder to write; it must not exist, or be empty.
    from_
        Format of the source.
    to
        Format of the target.
    step
        Read model_STEP.pt of a Garg run instead of its final state.
    dimension
        Input dimension for a Hugging Face GPT-2 that was not written by this command; it gets a new read-in. (One that
        was has its own.)
    suite
        Also evaluate a run's model on its own law and under this suite (garg, paper or all), for its card.
    prompts
        Prompts per law for that; 1280 when omitted.
    half
        Store the weights of a run in half precision, half the size; they are evaluated as they are stored.
    licence
        Licence of the weights for the model card of --to hugging-face, as Hugging Face calls it (mit, cc-by-4.0);
        "unknown" when omitted, or that of a model that ships with the package.
    allow_code
        Run code of your own that the source names (kind: own).
    """
    from iclab.cli.progress import Reporter, plain_warnings
    from iclab.foundations import InvalidInputError, check_integer, require_writable
    from iclab.foundations.errors import printable
    from iclab.models import TransformerPredictor, load, save_model
    from iclab.models.exchange import from_garg, from_hugging_face, to_hugging_face
    from iclab.training.run import Run

    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InvalidInputError(f"{target} must be new or empty, so that nothing is lost; it holds something.")
    require_writable(target.parent)
    from_run = from_ == to == "iclab" and (source / "checkpoints").is_dir()
    a_run = "a run that becomes a saved model"
    for name, given, fits, wanted in (
        ("suite", suite is not None, from_run, a_run),
        ("half", half, from_run, a_run),
        ("prompts", prompts is not None, suite is not None, "--suite"),
        ("step", step is not None, from_ == "garg", "--from garg"),
        ("licence", licence is not None, to == "hugging-face", "--to hugging-face"),
        ("dimension", dimension is not None, from_ == "hugging-face", "--from hugging-face"),
    ):
        if given and not fits:
            raise InvalidInputError(f"--{name} must go with {wanted}; another exchange was asked for.")
    if from_run:
        from iclab.training.card import judge

        n_prompts = 1280 if prompts is None else check_integer(prompts, "prompts", minimum=2)
        table, run = None, Run.open(source, allow_code=allow_code)
        with plain_warnings():
            if suite is not None:
                with Reporter() as progress:
                    model = run.predictor(half=half)
                    table = judge(model, run.config, suite, n_prompts=n_prompts, progress=progress)
            run.export(target, table, half=half)
        say(target)
        return 0
    if from_ == "garg":
        predictor = TransformerPredictor(from_garg(source, step))
    elif from_ == "hugging-face":
        predictor = TransformerPredictor(from_hugging_face(source, dimension=dimension))
    else:
        with plain_warnings():
            predictor = load(source, allow_code=allow_code)
    if to == "hugging-face":
        from iclab.training.sharing import shared_texts

        name = printable(target.resolve().name)
        texts = shared_texts(predictor, name, licence, allow_code=allow_code)
        to_hugging_face(predictor.model, target, texts=texts)
    else:
        save_model(predictor.model, target, card={"source": str(source), "format": from_})
    say(target)
    return 0
