"""Tables for the page, from the long ones: every number that a sentence speaks of is in one of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student

from iclab.studies.depth.contexts import PLAIN
from iclab.studies.depth.forms import FULL, GD_PLUS, INVARIANT
from iclab.studies.depth.measures import BATCHES
from iclab.studies.depth.models import CONVERGED, LINEAR, SOFTMAX, Model
from iclab.studies.depth.references import LEAST_SQUARES
from iclab.studies.depth.verdicts import CLASSICAL, DEPTH, FORMS, KERNEL, WIDTH, compared, percent, verdict

LABEL_LABEL, DIAGONAL, OFF = "label-label entry of W^KQ, L > 1", "all other diagonal entries", "off-diagonal entries"
DOUBLED = "at most doubled"
_LEVEL = 0.05
# Heads of what a search found: runs that went on, on all contexts, and those of them that end as low as the best.
_SEARCH = {"polished": "runs on all contexts", "near": "of these within 1 % of the best"}
_SPREAD = "stderr "  # a second column of standard errors: the page shows each with the column before it


def views(tables: dict[str, pd.DataFrame], settings: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """Tables of the page, by the keys of its captions."""
    models = tables["models"]
    main = models[
        ((models["attention"] == LINEAR) & (models["form"] == GD_PLUS))
        | ((models["attention"] == SOFTMAX) & (models["form"] == INVARIANT))
    ].copy()
    main["weights"] = np.where(main["tied"], "tied", "untied")
    whole = compared(tables, settings)
    return {
        "overview": _overview(main),
        **{group: _matrix(whole[whole["group"] == group]) for group in (DEPTH, CLASSICAL, KERNEL, FORMS)},
        "gains": _gains(tables["remedies"], settings["dimension"]),
        "one_layer": _one_layer(models),
        "slopes": _slopes(tables["stationarity"], models, settings["dimension"]),
        "algorithms": _algorithms(tables["nearest"], tables["distances"], settings["n_train"]),
        "wider": _wider(models),
        "every": _every(main),
        "compared": whole,
        "shifted": _shifted(tables["errors"], settings),
    }


def _overview(main: pd.DataFrame) -> pd.DataFrame:
    """Means and medians by depth, to three digits so that they fit in a row."""
    named = main.assign(model=main["attention"] + ", " + main["weights"])
    rows = []
    for (law, model), group in named.groupby(["law", "model"], sort=False):
        row: dict[str, Any] = {"law": law, "model": model}
        for _, at in group.iterrows():
            row[f"L = {at['layers']}"] = float(f"{at['test']:.3g}")
            row[f"median, L = {at['layers']}"] = float(f"{at['median']:.3g}")
        rows.append(row)
    layers = sorted(main["layers"].unique())
    return pd.DataFrame(rows)[["law", "model", *(f"{of}L = {n}" for n in layers for of in ("", "median, "))]]


def _matrix(rows: pd.DataFrame) -> pd.DataFrame:
    """A row per law and question, a column per depth: verdict on the means, share of prompts, mark of rare prompts."""
    shares = rows["better"].map(percent) + np.where(rows["rare"], " †", "")
    cells = rows["says"] + ", " + shares.str.replace(" ", "\N{NO-BREAK SPACE}")
    # The deepest models answer every question, in the order in which they are asked.
    ordered = rows.assign(cell=cells).sort_values("layers", ascending=False, kind="stable")
    return _by_depth(ordered, ["law", "question"])


def _by_depth(rows: pd.DataFrame, index: list[str]) -> pd.DataFrame:
    depths = sorted(rows["layers"].unique())
    found = []
    for key, group in rows.groupby(index, sort=False):
        cells = dict(zip(group["layers"], group["cell"], strict=True))
        found.append([*key, *(cells.get(layers) for layers in depths)])
    return pd.DataFrame(found, columns=[*index, *(f"L = {layers}" for layers in depths)])


def _shifted(errors: pd.DataFrame, settings: Mapping[str, Any]) -> pd.DataFrame:
    """Untied models under every shift of the inputs' law, beside their own, and whether it at most doubles."""
    rows = []
    for law in settings["laws"]:
        for attention, form in ((LINEAR, GD_PLUS), (SOFTMAX, INVARIANT)):
            for layers in sorted(settings["depths"]):
                name = Model(law, attention, form, False, layers).name
                own = errors[(errors["law"] == law) & (errors["name"] == name)].set_index("test")
                home = own.loc["c = 1"]
                for test, at in own.drop(index="c = 1").iterrows():
                    rows.append(
                        {
                            "law": law,
                            "attention": attention,
                            "layers": layers,
                            "test": test,
                            "error": at["error"],
                            "stderr": at["stderr"],
                            "median": at["median"],
                            "worst": at["worst"],
                            "own error": home["error"],
                            "own median": home["median"],
                            DOUBLED: all(at[column] <= 2 * home[column] for column in ("error", "median")),
                        }
                    )
    return pd.DataFrame(rows)


def _gains(remedies: pd.DataFrame, dimension: int) -> pd.DataFrame:
    """Remedies at scale 1, and what each gains over one plain layer."""
    rows = remedies.query("scale == 1")
    plain = rows.loc[(rows["remedy"] == PLAIN) & (rows["layers"] == 1)].set_index(["law", "noise"])
    verdicts = []
    for _, row in rows.iterrows():
        gain, reach = row["gain"], WIDTH * row["gain_stderr"]
        one = plain.loc[(row["law"], row["noise"])]
        verdicts.append(verdict(row, one, gain - reach, gain + reach, dimension) if reach else None)
    return pd.DataFrame(
        {
            **{name: rows[name] for name in ("law", "noise", "remedy", "layers", "error", "stderr", "median", "gain")},
            _SPREAD: rows["gain_stderr"],
            "says": verdicts,
            "better": rows["better"],
            "n": rows["n"],
        }
    ).reset_index(drop=True)


def _one_layer(models: pd.DataFrame) -> pd.DataFrame:
    """One layer as it was fitted beside the exact minimum."""
    one = models[models["exact"].notna() & (models["form"] == GD_PLUS)]
    found = one[["law", "test", "test_stderr", "exact", "n"]].rename(columns={"test": "error", "test_stderr": "stderr"})
    return found.assign(z=(found["error"] - found["exact"]) / found["stderr"]).reset_index(drop=True)


def _slopes(stationarity: pd.DataFrame, models: pd.DataFrame, dimension: int) -> pd.DataFrame:
    """The largest derivatives of the risk at optima of the GD++ form, by what says that they vanish.

    A fit short of its optimum says nothing of symmetries, and is left out.
    """
    ended = models.loc[models["slope"] <= CONVERGED, ["law", "name"]].rename(columns={"name": "model"})
    slopes = stationarity.merge(ended, on=["law", "model"])
    size = dimension + 1
    diagonal = slopes["row"] == slopes["column"]
    labels = diagonal & (slopes["matrix"] == "W^KQ") & (slopes["row"] == size)
    deep = slopes["model"].str.extract(r"L = (\d+)$")[0].astype(int) > 1
    rows = []
    for name, why, own in (
        (LABEL_LABEL, "nothing", labels & deep),
        (DIAGONAL, "the optimum, with symmetry", diagonal & ~labels),
        (OFF, "symmetry", ~diagonal),
    ):
        found = slopes[own & (slopes["z"] != 0)]
        if found.empty:
            continue
        largest = found.iloc[int(found["z"].abs().argmax())]
        # |z| that the largest of so many exceeds in 5 % of cases, with the Student law of the batches' mean.
        bound = float(student.isf(_LEVEL / 2 / len(found), BATCHES - 1))
        rows.append(
            {
                "weights": name,
                "made 0 by": why,
                "derivatives": len(found),
                "largest |z|": abs(largest["z"]),
                "at": f"{largest['law']}, {largest['model'].rsplit(', ', 1)[1]}",
                "bound": bound,
                "beyond": int((found["z"].abs() > bound).sum()),
                "n": int(largest["n"]),
            }
        )
    return pd.DataFrame(rows)


def _algorithms(nearest: pd.DataFrame, distances: pd.DataFrame, n_train: int) -> pd.DataFrame:
    """The classical algorithm nearest to every model at position N, and how far least squares is."""
    exact = distances[(distances["position"] == n_train) & (distances["candidate"] == LEAST_SQUARES)]
    own = exact[["law", "model", "distance"]].rename(columns={"distance": LEAST_SQUARES})
    rows = nearest[nearest["position"] == n_train].merge(own, on=["law", "model"])
    names = rows["model"].str.replace(f", {GD_PLUS}", "").str.replace(f", {INVARIANT}", "")
    return pd.DataFrame(
        {
            "law": rows["law"],
            "model": names,
            "nearest": rows["closest"],
            "distance": rows["distance"],
            "stderr": rows["stderr"],
            "near": rows["nearest"] == rows["closest"],
            "bootstraps": rows["frequency"],
            "as near": rows["ties"].fillna(""),
            f"distance to {LEAST_SQUARES}": rows[LEAST_SQUARES],
            "n": rows["n"],
        }
    ).reset_index(drop=True)


def _wider(models: pd.DataFrame) -> pd.DataFrame:
    deepest = models.loc[models["form"] == FULL, "layers"].max()
    rows = models[(models["attention"] != SOFTMAX) & ~models["tied"] & (models["layers"] <= deepest)]
    columns = ["law", "attention", "form", "layers", "numbers", "train", "test", "test_stderr", *_SEARCH]
    found = rows[columns].sort_values(["law", "layers"]).reset_index(drop=True)
    return found.rename(columns={"test": "error", "test_stderr": "stderr", **_SEARCH})


def _every(main: pd.DataFrame) -> pd.DataFrame:
    columns = {
        "law": "law",
        "attention": "attention",
        "weights": "weights",
        "layers": "layers",
        "test": "error",
        "test_stderr": "stderr",
        "median": "median",
        "worst": "worst",
        "train": "on training contexts",
        "train_stderr": _SPREAD,
        **_SEARCH,
        "n": "n",
    }
    return main[list(columns)].rename(columns=columns).reset_index(drop=True)
