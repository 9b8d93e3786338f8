"""The artifact "stimuli": the clips of a study."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from brainflix.artifacts.store import open_artifact, read_strings
from brainflix.errors import DataError

Array = NDArray[np.float32]


Labels = NDArray[np.str_]


@dataclass(frozen=True)
class Clips:
    """The clips of a study.

    Parameters
    ----------
    study : str
        The study's name.
    clip, split, group : ndarray of str, shape (clip,)
        Ids, "train" or "test", and the run or segment that never straddles splits.

    Raises
    ------
    DataError
        When the lengths differ, an id occurs twice, or a group lies in both splits.
    """

    study: str
    clip: Labels
    split: Labels
    group: Labels

    def __post_init__(self) -> None:
        if not len(self.clip) == len(self.split) == len(self.group):
            raise DataError(
                f"clips of {self.study} lack a split or a group",
                expected=f"{len(self.clip)} of each",
                found=f"{len(self.split)} splits, {len(self.group)} groups",
            )
        if len(set(self.clip)) != len(self.clip):
            raise DataError(f"two clips of {self.study} have one id")
        both = sorted(set(self.group[self.training]) & set(self.group[~self.training]))
        if both:
            raise DataError(
                f"a group of clips of {self.study} lies in training and test",
                expected="groups (runs, segments) within one split",
                found=", ".join(both[:5]),
                remedy="correct the columns split and group of the study's stimuli",
            )

    @property
    def training(self) -> NDArray[np.bool_]:
        """Which clips are training clips, shape (clip,)."""
        return self.split == "train"

    def rows(self, ids: Iterable[str]) -> NDArray[np.int64]:
        """Return the row of each id, shape (id,).

        Raises
        ------
        DataError
            For an id that is no clip of the study.
        """
        place = {str(clip): row for row, clip in enumerate(self.clip)}
        wanted = [str(clip) for clip in ids]
        missing = sorted({clip for clip in wanted if clip not in place})
        if missing:
            raise DataError(
                f"trials show clips that {self.study} does not have",
                expected=f"{len(place)} clips, such as {self.clip[0]}",
                found=", ".join(missing[:5]),
                remedy="make responses and stimuli from the same study",
            )
        return np.array([place[clip] for clip in wanted], dtype=np.int64)


def read_clips(path: Path, study: str) -> Clips:
    """Read ids, splits and groups of a "stimuli" artifact."""
    with open_artifact(path, "stimuli") as file:
        columns = [np.array(read_strings(file[name])) for name in ("clip", "split", "group")]
    return Clips(study, *columns)
