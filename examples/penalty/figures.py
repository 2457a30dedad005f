"""What a plain figure of curves cannot show."""

from matplotlib.figure import Figure

from iclab.studies.drawing import CYCLE, figure_style


def excess(record):
    """Excess error by penalty over noise variance."""
    with figure_style():
        figure = Figure(figsize=(5.0, 3.4))
        axis = figure.subplots()
        for color, (noise, rows) in zip(CYCLE, record.tables["errors"].groupby("noise"), strict=False):
            bars = [rows["excess"] - rows["excess_low"], rows["excess_high"] - rows["excess"]]
            axis.errorbar(
                rows["penalty"] / noise**2, rows["excess"], bars, color=color, marker=".", label=f"σ = {noise:g}"
            )
        axis.axvline(1, color="grey", linewidth=0.8)
        axis.set(xscale="log", xlabel="penalty / σ²", ylabel="excess squared error")
        axis.legend()
    return figure


FIGURES = {"excess": excess}
