"""Training curves of alignment and regression."""

from __future__ import annotations

from brainflix.report.contents import Contents
from brainflix.report.drawing.figures import curve_plot
from brainflix.report.history import arrange, read_history
from brainflix.report.html import Markup, element

_TITLES = {"alignment": "Alignment", "regression": "Regression"}


def section(contents: Contents) -> Markup | None:
    """Return the training curves, or None where no stage left any."""
    parts = []
    for stage, folder in contents.folders.items():
        drawings = arrange(read_history(folder), contents.subjects)
        plots = [
            element("div", curve_plot(f"{stage}{k}", title, lines), class_="plot")
            for k, (title, lines) in enumerate(drawings.items())
        ]
        if plots:
            parts += [element("h3", _TITLES[stage]), element("div", plots, class_="plots")]
    if not parts:
        return None
    return element(
        "section",
        element("h2", "Training"),
        element(
            "p",
            "Validation clips come out of training runs, and the weights are kept of the epoch "
            "that does best on them (dots); epoch 0 is the state before the first step. Test runs "
            "take no part.",
        ),
        parts,
        id="training",
    )
