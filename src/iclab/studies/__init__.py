"""Studies: every experiment has one shape.

A *study* is a folder. It *measures* tidy tables, asks *questions* of them, draws *figures*, and has a *page* written
by hand; what it leaves behind is a *record*. The work is done in *units*, calls whose tables are kept, and in
trainings, which are kept as runs. Both resume where they stopped, in one process, in several, or on a Dask cluster
(the *workplace*). A *grid* is a base configuration with axes; a *cell* of it is one training with its measurements.

``REGISTRY`` names the studies that come with the package. A folder of your own with the same files is run in the same
way: `iclab study run FOLDER`.
"""

from iclab.studies.folder import Study, open_folder

_HERE = "iclab.studies"

REGISTRY = (
    Study("claims", f"{_HERE}.claims", paper=True),
    Study("gradient-flow", f"{_HERE}.gradient_flow", paper=True),
    Study("initialisation", f"{_HERE}.initialisation", paper=True),
    Study("shifts", f"{_HERE}.shifts", paper=True),
    Study("figure1", f"{_HERE}.figure1", paper=True, trains=True),
    Study("figure1-d20", f"{_HERE}.figure1", trains=True, settings={"reuse": ("shipped",)}),
    Study("figure1-d20-columns", f"{_HERE}.figure1", trains=True, settings={"reuse": ("shipped",)}),
    Study("figure1-seeds", f"{_HERE}.figure1", trains=True),
    Study("positions", f"{_HERE}.positions", trains=True),
    Study("covariances", f"{_HERE}.covariances", trains=True),
    Study("sample-complexity", f"{_HERE}.sample_complexity", trains=True),
    Study("depth", f"{_HERE}.depth"),
    Study("asymptotics", f"{_HERE}.asymptotics"),
    Study("plateaus", f"{_HERE}.plateaus"),
    Study("in-probability", f"{_HERE}.in_probability"),
    Study("hijacking", f"{_HERE}.hijacking", trains=True),
    Study("tolerance", f"{_HERE}.tolerance", trains=True),
    Study("tolerance-d20", f"{_HERE}.tolerance", trains=True, settings={"reuse": ("shipped",)}),
    Study("leaderboard", f"{_HERE}.leaderboard", trains=True),
    Study("leaderboard-d10", f"{_HERE}.leaderboard", trains=True),
    Study("robustness", f"{_HERE}.robustness", trains=True),
    Study("task-diversity", f"{_HERE}.task_diversity", trains=True),
    Study("sequences", f"{_HERE}.sequences", trains=True),
    Study("classification", f"{_HERE}.classification", trains=True),
    Study("layers", f"{_HERE}.layers"),
    Study("mixers", f"{_HERE}.mixers", trains=True),
    Study("function-classes", f"{_HERE}.function_classes", trains=True),
    Study("loops", f"{_HERE}.loops", trains=True),
)
"""The studies that come with the package."""

__all__ = ["REGISTRY", "Study", "first_page", "open_folder"]


def first_page() -> tuple[str, str]:
    """Title and template of the page over all studies."""
    from importlib.resources import files

    title, _, template = (files(_HERE) / "report.md.j2").read_text(encoding="utf-8").partition("\n")
    return title.removeprefix("# "), template
