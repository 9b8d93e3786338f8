"""Scores over clips, drawn as small SVG by hand: distributions, and one against another."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from brainflix.report.html import Markup, element

Floats = NDArray[np.float64]
WIDTH, HEIGHT = 320, 132
_LEFT, _RIGHT, _TOP, _BOTTOM = 6, 6, 8, 22
_BINS = 28


def distribution(
    label: str, values: Floats, other: Floats | None, marks: Mapping[str, float | None]
) -> Markup:
    """Draw a metric's scores of all clips, with another variant's outline and a few levels.

    Parameters
    ----------
    label : str
        What is drawn, for those who do not see it.
    values : ndarray of float64, shape (n,)
        A score a clip; those that are not finite are left out.
    other : ndarray of float64, shape (n,), or None
        The same of reconstructions paired with other clips, drawn as an outline.
    marks : mapping of str to float or None
        "mean", "chance" and "grey": levels drawn as lines.
    """
    values = values[np.isfinite(values)]
    others = np.zeros(0) if other is None else other[np.isfinite(other)]
    levels = {name: value for name, value in marks.items() if _drawn(value)}
    edges = _edges([*values, *others, *(v for v in levels.values() if v is not None)])
    bars, _ = np.histogram(values, edges)
    outline, _ = np.histogram(others, edges)
    share = bars / max(1, len(values)), outline / max(1, len(others))
    top = max(float(share[0].max()), float(share[1].max()), 1e-9)
    children = [_bars(edges, share[0] / top)]
    if len(others):
        children.append(_outline(edges, share[1] / top))
    children += [_level(name, _x(edges, float(v))) for name, v in levels.items() if v is not None]
    children += _axis(edges)
    return element(
        "svg",
        children,
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        aria_label=f"{label}: distribution over {len(values)} clips",
        class_="distribution",
    )


def _drawn(value: float | None) -> bool:
    return value is not None and bool(np.isfinite(value))


def _edges(values: list[float]) -> Floats:
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    if high - low < 1e-12:
        low, high = low - 0.5, high + 0.5
    margin = 0.02 * (high - low)
    return np.linspace(low - margin, high + margin, _BINS + 1)


def _x(edges: Floats, value: float) -> float:
    share = (value - edges[0]) / (edges[-1] - edges[0])
    return round(_LEFT + share * (WIDTH - _LEFT - _RIGHT), 1)


def _y(share: float) -> float:
    return round(HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM), 1)


def _bars(edges: Floats, shares: Floats) -> Markup:
    steps = [
        f"M{_x(edges, a)} {_y(0)}V{_y(share)}H{_x(edges, b) - 0.6:.1f}V{_y(0)}Z"
        for a, b, share in zip(edges[:-1], edges[1:], shares.tolist(), strict=True)
        if share > 0
    ]
    return element("path", d="".join(steps), class_="bars")


def _outline(edges: Floats, shares: Floats) -> Markup:
    steps = [f"M{_x(edges, edges[0])} {_y(0)}"]
    for edge, share in zip(edges[1:], shares.tolist(), strict=True):
        steps.append(f"V{_y(share)}H{_x(edges, edge)}")
    return element("path", d="".join(steps) + f"V{_y(0)}", class_="outline")


def _level(name: str, x: float) -> Markup:
    return element("path", d=f"M{x} {_TOP - 4}V{_y(0)}", class_=f"level {name}")


def _axis(edges: Floats) -> list[Markup]:
    found = [element("path", d=f"M{_LEFT} {_y(0)}H{WIDTH - _RIGHT}", class_="axis")]
    for tick, text in _labels(float(edges[0]), float(edges[-1])):
        x = _x(edges, tick)
        anchor = "start" if x < 18 else "end" if x > WIDTH - 18 else "middle"
        found.append(element("path", d=f"M{x} {_y(0)}v4", class_="axis"))
        found.append(element("text", text, x=f"{x}", y=HEIGHT - 5, text_anchor=anchor))
    return found


def scatter(label: str, x: Floats, y: Floats, names: tuple[str, str]) -> Markup:
    """Draw one number of every clip against another.

    Parameters
    ----------
    label : str
        What is drawn, for those who do not see it.
    x, y : ndarray of float64, shape (n,)
    names : tuple of str
        What is along and up.
    """
    width, height, left, bottom = 480, 260, 52, 44
    finite = np.isfinite(x) & np.isfinite(y)
    x, y = x[finite], y[finite]
    across, up = _edges(x.tolist()), _edges(y.tolist())

    def at(value: float, edges: Floats, begin: float, end: float) -> float:
        part = (value - edges[0]) / (edges[-1] - edges[0])
        return round(float(begin + part * (end - begin)), 1)

    def place(a: float, b: float) -> tuple[float, float]:
        return at(a, across, left, width - 8), at(b, up, height - bottom, 8)

    dots = [
        element("circle", cx=f"{cx}", cy=f"{cy}", r=3, class_="dot")
        for cx, cy in (place(a, b) for a, b in zip(x.tolist(), y.tolist(), strict=True))
    ]
    base = height - bottom
    parts = [element("path", d=f"M{left} 8V{base}H{width - 8}", class_="axis")]
    for tick, text in _labels(float(across[0]), float(across[-1])):
        cx = at(tick, across, left, width - 8)
        parts.append(element("path", d=f"M{cx} {base}v4", class_="axis"))
        parts.append(element("text", text, x=f"{cx}", y=base + 17, text_anchor="middle"))
    for tick, text in _labels(float(up[0]), float(up[-1])):
        cy = at(tick, up, base, 8)
        parts.append(element("path", d=f"M{left} {cy}h-4", class_="axis"))
        parts.append(element("text", text, x=left - 7, y=f"{cy + 4}", text_anchor="end"))
    middle = (left + width - 8) / 2
    parts.append(element("text", names[0], x=f"{middle}", y=height - 6, text_anchor="middle"))
    turn = f"translate(12 {(8 + base) / 2}) rotate(-90)"
    parts.append(element("text", names[1], transform=turn, text_anchor="middle"))
    return element(
        "svg",
        parts,
        dots,
        viewBox=f"0 0 {width} {height}",
        role="img",
        aria_label=label,
        class_="distribution scatter",
    )


def _labels(low: float, high: float) -> list[tuple[float, str]]:
    ticks = _ticks(low, high)
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 1.0
    places = max(0, -int(np.floor(np.log10(step) + 1e-9)))
    return [(tick, f"{tick:.{places}f}".replace("-", "\N{MINUS SIGN}")) for tick in ticks]


def _ticks(low: float, high: float) -> list[float]:
    """Return three to six round numbers within a range."""
    rough = (high - low) / 4
    size = 10.0 ** np.floor(np.log10(rough))
    step = float(min((s * size for s in (1, 2, 5, 10)), key=lambda s: abs(s - rough)))
    first = np.ceil(low / step - 1e-9)
    return [float(k * step) + 0.0 for k in np.arange(first, np.floor(high / step + 1e-9) + 1)]
