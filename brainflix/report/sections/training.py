"""Training curves of alignment and regression."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from brainflix.evaluation.wording import capital
from brainflix.report.contents import Contents
from brainflix.report.drawing.figures import curve_plot
from brainflix.report.history import arrange, read_history

NAME, TITLE = "training", "Training"
NEEDS: tuple[str, ...] = ("histories",)


def has_content(contents: Contents) -> bool:
    """Return whether a stage has written training curves that can be drawn."""
    order = [*contents.results.subjects]
    return any(arrange(read_history(each), order) for each in contents.histories.values())


def view(contents: Contents) -> Mapping[str, Any]:
    """Return the drawings of each training stage."""
    parts: list[tuple[str, list[Markup]]] = []
    for stage, folder in contents.histories.items():
        drawings = arrange(read_history(folder), [*contents.results.subjects])
        plots = [
            curve_plot(f"{stage}{k}", title, lines)
            for k, (title, lines) in enumerate(drawings.items())
        ]
        if plots:
            parts.append((capital(stage), plots))
    return {"parts": parts}
