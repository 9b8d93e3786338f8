"""A study as the evaluation sees it: its test clips, and what its training clips are needed for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from brainflix.artifacts.store import open_artifact, read_strings
from brainflix.clips.clips import VideoClips
from brainflix.clips.store import Frames, take
from brainflix.errors import DataError
from brainflix.evaluation.audits.splits import SplitAudit, split_audit
from brainflix.evaluation.baselines import mean_clip


@dataclass(frozen=True)
class StudyClips:
    """A study's test clips, with what is known about its training clips.

    Attributes
    ----------
    test : VideoClips
        All test clips.
    train_ids : tuple of str
        Names of the training clips.
    mean_training_clip : ndarray of uint8, shape (frame, height, width, 3)
    audit : SplitAudit
    """

    test: VideoClips
    train_ids: tuple[str, ...]
    mean_training_clip: Frames
    audit: SplitAudit

    def subset(self, ids: Sequence[str], where: object) -> VideoClips:
        """Return the named test clips in the order given.

        Raises
        ------
        DataError
            When one of them is a training clip or not in the study.
        """
        if tuple(ids) == self.test.ids:
            return self.test
        place = {name: k for k, name in enumerate(self.test.ids)}
        wrong = [name for name in ids if name not in place]
        if wrong:
            trained = wrong[0] in self.train_ids
            raise DataError(
                "a training clip is evaluated" if trained else "an unknown clip is evaluated",
                expected="test clips of the study's stimuli.h5 alone",
                found=f"{len(wrong)} others, such as {wrong[0]}",
                where=where,
                remedy="run the workflow again from stimuli.h5 on",
            )
        rows = [place[name] for name in ids]
        labels = {name: tuple(column[k] for k in rows) for name, column in self.test.labels.items()}
        groups = tuple(self.test.groups[k] for k in rows)
        return VideoClips(take(self.test.frames, rows), tuple(ids), groups, labels)


def read_study(path: Path) -> StudyClips:
    """Read a stimuli artifact: the test clips, the mean training clip and the audit of splits."""
    with open_artifact(path, "stimuli") as file:
        ids, splits = read_strings(file["clip"]), read_strings(file["split"])
        groups = read_strings(file["group"])
        train, test = (np.flatnonzero(np.asarray(splits) == split) for split in ("train", "test"))
        if len(train) == 0 or len(test) == 0:
            raise DataError(
                "a study needs training and test clips",
                expected="both",
                found=f"{len(train)} training and {len(test)} test clips",
                where=path,
            )
        attributes = file.get("attributes", {})
        labels = {
            name: tuple(np.asarray(read_strings(attributes[name]))[test].tolist())
            for name in sorted(attributes)
        }
        frames = file["frames"]
        return StudyClips(
            VideoClips(frames[test], _at(ids, test), _at(groups, test), labels),
            _at(ids, train),
            mean_clip(frames, train),
            split_audit(ids, splits, groups, frames),
        )


def _at(values: Sequence[str], rows: NDArray[np.int64]) -> tuple[str, ...]:
    return tuple(values[k] for k in rows)
