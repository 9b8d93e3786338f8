"""What a page is made of: results, and whatever else there is to show next to them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from brainflix.clips.store import FrameSource
from brainflix.evaluation.results import Results
from brainflix.evaluation.wording import ATTRIBUTE, metric_order

if TYPE_CHECKING:
    from brainflix.report.drawing.voxels import VoxelSummary

SHOWN = "shown"  # the true clip, among the systems of a gallery
_RANKING = ("identification@clip", "identification@pixel", "ssim@rgb", "psnr")
_FIRST = (
    "identification@clip",
    f"{ATTRIBUTE}object",
    f"{ATTRIBUTE}colour",
    f"{ATTRIBUTE}background",
    f"{ATTRIBUTE}motion",
    "identification@pixel",
    "identification@motion",
    "ssim@rgb",
    "ssim@gray",
    "psnr",
    "temporal-consistency@relative",
)


@dataclass(frozen=True)
class SubjectGallery:
    """One subject's clips, as a page shows them.

    Attributes
    ----------
    name : str
        As the results name the subject; may be empty.
    ids : tuple of str
        The clips.
    frames : mapping of str to FrameSource of uint8, shape (clip, frame, height, width, 3)
        The true clips under "shown", then each system, in the order in which they are shown.
    seconds : float
        How long a clip lasts.
    captions : mapping of str to str
        Clip to what is known about it in words.
    files : mapping of str to str
        Clip to the address of its video file, relative to the page.
    """

    name: str
    ids: tuple[str, ...]
    frames: Mapping[str, FrameSource]
    seconds: float = 2.0
    captions: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Contents:
    """Everything that a page can show; a section is left out where it has nothing to show.

    Attributes
    ----------
    kicker, title, lede : str
        The page's first lines: what kind of page, of what, and what was done.
    results : Results
        With the scores of single clips.
    galleries : tuple of SubjectGallery
    links : mapping of str to str
        What can be downloaded, and its address relative to the page.
    configuration : mapping
        What an experiment was run with; empty for folders.
    voxels : mapping of str to VoxelSummary
        By ``study/subject``.
    histories : mapping of str to Path
        Training stage to its folder.
    artifacts : mapping of str to Path
        All files of an experiment, by the names that the workflow gives them.
    """

    kicker: str
    title: str
    lede: str
    results: Results
    galleries: tuple[SubjectGallery, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)
    configuration: Mapping[str, Any] = field(default_factory=dict)
    voxels: Mapping[str, VoxelSummary] = field(default_factory=dict)
    histories: Mapping[str, Path] = field(default_factory=dict)
    artifacts: Mapping[str, Path] = field(default_factory=dict)

    @property
    def metrics(self) -> list[str]:
        """Every metric, those that matter most first."""
        found = metric_order(self.results.metrics)
        first = [name for name in _FIRST if name in found]
        return first + [name for name in found if name not in first]

    @property
    def ranking(self) -> str | None:
        """The metric by which clips are best and worst: the first that tells them apart."""
        known = [m for m in dict.fromkeys((*_RANKING, *self.metrics)) if self.clip_scores(m).size]
        varied = [m for m in known if len(np.unique(self.clip_scores(m))) > 1]
        return next(iter(varied or known), None)

    @property
    def ranked(self) -> list[str]:
        """The metrics that order clips: the first decides, the others break ties."""
        return [] if self.ranking is None else [*dict.fromkeys((self.ranking, *_RANKING))]

    def clip_scores(self, metric: str, system: str | None = None) -> NDArray[np.float64]:
        """Return the scores of all clips of a system, by default of the one under evaluation."""
        by_clip = self.results.scores_of.get(system or self.results.system, {})
        return np.array([s[metric] for s in by_clip.values() if metric in s], dtype=np.float64)


def address(path: Path, page: Path) -> str:
    """Return the address of a file relative to a page."""
    from urllib.parse import quote

    relative = os.path.relpath(path.absolute(), page.absolute().parent)
    return quote(Path(relative).as_posix())
