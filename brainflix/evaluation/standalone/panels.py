"""Pictures that show a clip and its reconstruction together, side by side or above each other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from brainflix.errors import ConfigError, VideoError
from brainflix.evaluation.standalone.files import ClipSource, Frame, Indices, ProbedClip
from brainflix.evaluation.standalone.folders import ClipSet

_ALIASES = {
    "left-right": "true|reconstructed",
    "right-left": "reconstructed|true",
    "top-bottom": "true/reconstructed",
    "bottom-top": "reconstructed/true",
}


@dataclass(frozen=True)
class PanelClip:
    """One panel of pictures that show several clips side by side or above each other.

    Attributes
    ----------
    base : ClipSource
        The whole pictures.
    index, count : int
        Which panel of how many.
    across : bool
        Whether panels are side by side.
    gap : int
        Pixels between panels.
    """

    base: ClipSource
    index: int
    count: int
    across: bool
    gap: int

    @property
    def name(self) -> str:
        """As of the whole picture."""
        return self.base.name

    @property
    def where(self) -> str:
        """As of the whole picture."""
        return self.base.where

    @property
    def files(self) -> tuple[Path, ...]:
        """As of the whole picture."""
        return self.base.files

    def probe(self) -> ProbedClip:
        """Return the form of the panel."""
        form = self.base.probe()
        side = self._side(form.height, form.width)
        height, width = (form.height, side) if self.across else (side, form.width)
        return ProbedClip(form.stored, height, width, form.times)

    def frames(self, stored: Indices) -> Iterator[Frame]:
        """Yield the panel's part of each picture."""
        for frame in self.base.frames(stored):
            side = self._side(*frame.shape[:2])
            begin = self.index * (side + self.gap)
            yield (frame[:, begin : begin + side] if self.across else frame[begin : begin + side])

    def _side(self, height: int, width: int) -> int:
        whole = (width if self.across else height) - self.gap * (self.count - 1)
        side, rest = divmod(whole, self.count)
        if rest or side < 1:
            raise VideoError(
                "the picture does not divide into panels",
                expected=f"{self.count} equal panels with gaps of {self.gap} pixels",
                found=f"{'width' if self.across else 'height'} {whole} without the gaps",
                where=self.where,
                remedy="say how wide the gap is with --gap, and check --layout",
            )
        return side


def parse_layout(text: str) -> tuple[list[str], bool]:
    """Return the panels of a layout, and whether they are side by side.

    ``true|reconstructed`` is the true clip at the left, ``reconstructed/true`` the true one below;
    ``_`` is a panel that is skipped. ``left-right``, ``right-left``, ``top-bottom`` and
    ``bottom-top`` say where the true and the reconstructed clip are.

    Raises
    ------
    ConfigError
        When it is not a layout, or ``true`` and ``reconstructed`` do not occur once.
    """
    text = _ALIASES.get(text, text)
    across = "|" in text
    panels = [panel.strip() for panel in re.split(r"[|/]", text)]
    mixed = across and "/" in text
    once = panels.count("true") == panels.count("reconstructed") == 1
    if mixed or not once or set(panels) - {"true", "reconstructed", "_"}:
        raise ConfigError(
            "the layout cannot be read",
            expected=f"true|reconstructed, true/reconstructed|..., or {', '.join(_ALIASES)}",
            found=text,
            where="--layout",
            remedy="separate panels by | (side by side) or / (above each other); _ skips one",
        )
    return panels, across


def split_panels(whole: ClipSet, layout: str, gap: int) -> tuple[ClipSet, ClipSet]:
    """Return the true and the reconstructed clips of pictures that show both."""
    panels, across = parse_layout(layout)
    true, reconstructed = (
        replace(
            whole,
            clips={
                name: PanelClip(clip, panels.index(panel), len(panels), across, gap)
                for name, clip in whole.clips.items()
            },
        )
        for panel in ("true", "reconstructed")
    )
    return true, reconstructed
