"""Matplotlib figures as inline SVG that takes its colours from the page, light or dark."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

from markupsafe import Markup

# Placeholders of the page's colours: matplotlib writes them, the page resolves them.
INK, MUTED, RULE = "#0a0b01", "#0a0b02", "#0a0b03"
NETWORK, RIDGE, SHUFFLED, ORACLE, PAPER = "#0a0b04", "#0a0b05", "#0a0b06", "#0a0b07", "#0a0b08"
_VARIABLES = {
    INK: "ink",
    MUTED: "muted",
    RULE: "rule",
    NETWORK: "network",
    RIDGE: "ridge",
    SHUFFLED: "shuffled",
    ORACLE: "oracle",
    PAPER: "paper",
}
SERIES = (NETWORK, RIDGE, ORACLE, SHUFFLED)

_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "brainflix",
    "font.size": 9,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.axisbelow": True,
    "text.color": INK,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.6,
}


@contextmanager
def drawing(width: float, height: float) -> Iterator[tuple[Any, Any]]:
    """Yield a figure and its axes, in inches, in the page's style and off any display."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        yield figure, figure.subplots()


def inline_svg(figure: Any, name: str, title: str) -> Markup:
    """Return a figure as an SVG element for the page.

    Parameters
    ----------
    figure : matplotlib Figure
        Drawn within :func:`drawing`.
    name : str
        Unique on the page; it is put before every id in the drawing.
    title : str
        What the drawing shows, for those who do not see it.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.S)
    text = _unique_ids(text, name)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var(--{variable})")
    label = escape(title, quote=True)
    return Markup(re.sub(r"<svg [^>]*>", lambda found: _open(found[0], label), text, count=1))


def _unique_ids(text: str, name: str) -> str:
    """Keep the ids that the drawing refers to, under the figure's name, and drop the others."""
    used = set(re.findall(r"(?:url\(#|href=\"#)([^\")]+)", text))

    def change(found: re.Match[str]) -> str:
        return f' id="{name}-{found[1]}"' if found[1] in used else ""

    text = re.sub(r' id="([^"]+)"', change, text)
    return re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", text)


def _open(tag: str, label: str) -> str:
    box = re.search(r'viewBox="([^"]+)"', tag)
    width = re.search(r'width="([\d.]+)pt"', tag)
    size = f' style="max-width:{float(width[1]) * 1.5:.0f}px"' if width else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{box[1] if box else ""}" role="img" aria-label="{label}"{size}>'
    )
