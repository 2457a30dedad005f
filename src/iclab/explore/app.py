"""The explorer as a marimo app: ``iclab explore`` serves it, ``marimo edit`` opens it as a notebook."""

# pyright: reportMissingParameterType=false, reportUnusedExpression=false
import marimo

app = marimo.App(width="medium", app_title="iclab explorer")


@app.cell
def _():
    import marimo as mo

    from iclab.explore.panels import PANELS
    from iclab.explore.pictures import picture

    def beside(left, right):
        """Side by side, or one below the other where the page is narrow."""
        parts = [(left, "2 1 17rem"), (right, "3 1 25rem")]
        return mo.hstack([mo.as_html(part).style(flex=flex, min_width="0", max_width="100%") for part, flex in parts],
                         wrap=True)  # fmt: skip

    return PANELS, beside, mo, picture


@app.cell
def _(PANELS, mo):
    panel = mo.ui.radio({each.title: each.name for each in PANELS} | {"A prompt to drag": "prompt"},
                        value=PANELS[0].title, label="**Picture**")  # fmt: skip
    mo.vstack([mo.md("# In-context learning by one layer of linear attention, and by trained transformers"), panel])
    return (panel,)


@app.cell
def _(PANELS, mo, panel):
    chosen = next((each for each in PANELS if each.name == panel.value), None)
    sliders = mo.ui.dictionary(
        {
            each.name: mo.ui.slider(
                steps=list(each.steps), value=each.start, label=each.label, show_value=True, full_width=True
            )
            for each in (chosen.sliders if chosen else ())
        }
    )
    return chosen, sliders


@app.cell
def _(beside, chosen, mo, picture, sliders):
    if chosen is None:
        page = None
    else:
        results = chosen.compute(sliders.value)
        numbers = "  \n".join(f"`{name}` = {format(results[name], '.6g')}" for name in chosen.shown)
        page = mo.vstack(
            [
                beside(mo.vstack([*sliders.elements.values(), mo.md(numbers)]), picture(chosen, results)),
                mo.md(chosen.note),
                mo.md(f"```python\n{chosen.fill(sliders.value)}```"),
            ]
        )
    page
    return


@app.cell
def _(chosen, mo):
    if chosen is None:
        from iclab.explore.prompt import ask, lines
        from iclab.predictors.registry import shipped_models

        model = mo.ui.dropdown(sorted(shipped_models()), value="linear-columns-d20-identity", label="model",
                               full_width=True)  # fmt: skip
        examples = mo.ui.slider(1, 40, value=20, label="examples", show_value=True, full_width=True)
        seed = mo.ui.slider(0, 20, value=0, label="seed of the prompt", show_value=True, full_width=True)
    else:
        ask = lines = model = examples = seed = None
    return ask, examples, lines, model, seed


@app.cell
def _(ask, examples, mo, model, seed):
    if ask is None:
        points = drawn = None
    else:
        from iclab.explore.dragged import Dragged

        drawn = ask(model.value, examples.value, seed.value, {})["drawn"].ys[0, : examples.value]
        drawn = [round(float(y), 3) for y in drawn]
        points = mo.ui.anywidget(Dragged(values=drawn, drawn=drawn, span=max(10.0, *(abs(y) for y in drawn))))
    return drawn, points


@app.cell
def _(ask, beside, drawn, examples, lines, mo, model, points, seed):
    if ask is None:
        asked = None
    else:
        changes = {i: y for i, (y, old) in enumerate(zip(points.value["values"], drawn, strict=True)) if y != old}
        result = ask(model.value, examples.value, seed.value, changes)
        rows = {"true value": result["truth"], **result["answers"]}
        table = mo.md(
            "| learner | prediction at the query |\n|---|---:|\n"
            + "\n".join(f"| {name} | {value:.3f} |" for name, value in rows.items())
        )
        asked = mo.vstack(
            [
                beside(mo.vstack([model, examples, seed, table]), points),
                mo.md(
                    "One function w'x in 20 dimensions. Drag a label and see who follows it: with as many examples as "
                    "dimensions, least squares follows one changed label anywhere."
                ),
                mo.md("```python\n" + "".join(lines(model.value, examples.value, seed.value, changes)) + "```"),
            ]
        )
    asked
    return


if __name__ == "__main__":
    app.run()
