"""The brain: which voxels respond reproducibly, and where they lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from brainflix.evaluation.wording import NOTHING, number
from brainflix.report.contents import Contents
from brainflix.report.drawing.cortex import cortex_map
from brainflix.report.drawing.figures import reproducibility_plot
from brainflix.report.drawing.filmstrips import png_url
from brainflix.report.drawing.voxels import RAMP, VoxelSummary, colour_range, mosaic, region_rows
from brainflix.report.tables import DataTable, text_table

NAME, TITLE = "voxels", "Voxels"
NEEDS: tuple[str, ...] = ("voxels",)


@dataclass(frozen=True)
class VoxelMap:
    """A picture of a subject's voxels, with the ends of its colours."""

    url: str
    words: str
    width: int
    height: int
    low: str
    high: str


@dataclass(frozen=True)
class VoxelCard:
    """What is shown of one subject's voxels."""

    name: str
    facts: tuple[tuple[str, str], ...]
    picture: VoxelMap | None
    regions: DataTable | None
    atlas: str
    plot: Markup
    rule: str


def has_content(contents: Contents) -> bool:
    """Return True: the section needs voxels."""
    return True


def view(contents: Contents) -> Mapping[str, Any]:
    """Return a card per subject."""
    cards = [voxel_card(k, name, found) for k, (name, found) in enumerate(contents.voxels.items())]
    return {"cards": cards, "ramp": ", ".join(f"rgb{colour}" for colour in RAMP)}


def voxel_card(k: int, name: str, found: VoxelSummary) -> VoxelCard:
    """Return what is shown of the ``k``-th subject's voxels."""
    chosen = found.selected
    facts = (
        ("voxels", f"{len(chosen):,}"),
        ("selected", f"{int(chosen.sum()):,}"),
        ("their median r", _median(found.reproducibility[chosen])),
        ("their ceiling", _median(found.ceiling[chosen])),
    )
    atlas = str(found.attributes.get("atlas", "atlas")).rpartition("/")[2]
    return VoxelCard(
        name,
        facts,
        _map(name, found),
        _regions(k, found),
        atlas,
        reproducibility_plot(f"voxels{k}", found.reproducibility, chosen, name),
        _rule(found),
    )


def _median(values: NDArray[np.float64]) -> str:
    finite = values[np.isfinite(values)]
    return number(float(np.median(finite))) if len(finite) else NOTHING


def _regions(k: int, found: VoxelSummary) -> DataTable | None:
    """Return the table of regions, None where no atlas was named."""
    rows = [
        (
            row.name,
            f"{row.voxels:,}",
            f"{row.selected:,}",
            number(row.reproducibility),
            number(row.ceiling),
        )
        for row in region_rows(found)
    ]
    if not rows:
        return None
    head = ("region", "voxels", "selected", "mean r", "mean ceiling")
    return text_table(f"region-table{k}", "Regions", head, rows)


def _map(name: str, found: VoxelSummary) -> VoxelMap | None:
    image = mosaic(found) if found.is_volume else cortex_map(found)
    if image is None:
        return None
    low, high = colour_range(found)
    shown = "t" if np.isfinite(found.t).any() else "r"
    where = "Axial slices" if found.is_volume else "The flattened cortex, left and right,"
    order = " from below to above" if found.is_volume else ""
    return VoxelMap(
        png_url(image),
        f"{where} of {name}{order}; selected voxels coloured by {shown}",
        image.shape[1],
        image.shape[0],
        f"{shown} {number(low, 2)}",
        number(high, 2),
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
