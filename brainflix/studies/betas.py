"""Studies whose responses were estimated a trial before: betas of shape (clip, repeat, voxel).

A run is one repeat of one set of clips, and a row of it one trial. Training clips are put into sets
because the t-test of reproducibility needs independent observations, each a set of clips of its
own; with one set of three repeats, as a study is often published, there would be a single one.
"""

from __future__ import annotations

import mmap
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from brainflix.config import StudySource
from brainflix.errors import StudyError
from brainflix.studies.study import Event, Run, Study

GLMSINGLE = (
    "the responses are betas of GLMsingle, which chose its noise regressors and ridge fractions by "
    "cross-validation over repeated conditions, which can be test clips: the estimates are tuned, "
    "if not fitted, with the help of test trials"
)
_SAMPLES, _WIDTH = 4, 64  # stretches of voxels, and their width, that tell absent trials


@dataclass(frozen=True)
class BetaBlock:
    """Some clips of a subject's betas, of one split.

    Parameters
    ----------
    name : str
        Label of the set of clips, unique for the subject.
    split : {"train", "test"}
        Its split.
    clips : tuple of str
        The clip of each row.
    rows : ndarray of int64, shape (clip,)
        The rows of ``parts`` that the clips have.
    parts : tuple of ndarray, each (row, repeat, voxel)
        Betas, side by side along the voxels, such as one array a hemisphere; may be mapped files.
        A trial that was not recorded holds NaN alone.
    path : Path
        The file that the first part lies in.

    Raises
    ------
    StudyError
        When the parts do not fit each other or the clips.
    """

    name: str
    split: str
    clips: tuple[str, ...]
    rows: np.ndarray
    parts: tuple[np.ndarray, ...]
    path: Path

    def __post_init__(self) -> None:
        shapes = [part.shape for part in self.parts]
        if any(len(shape) != 3 for shape in shapes) or len({shape[:2] for shape in shapes}) != 1:
            raise StudyError(
                "betas of an unknown shape, or parts that do not fit each other",
                expected="(clip, repeat, voxel), the same clips and repeats in each part",
                found=", ".join(str(shape) for shape in shapes),
                where=self.path,
            )
        if len(self.clips) != len(self.rows) or self.rows.max(initial=-1) >= shapes[0][0]:
            raise StudyError(
                "betas and their clips differ in number",
                expected=f"{len(self.clips)} clips",
                found=f"{shapes[0][0]} rows",
                where=self.path,
                remedy="download the file again, or name the file that belongs to these clips",
            )

    @property
    def repeats(self) -> int:
        """Repeats that the arrays have room for."""
        return self.parts[0].shape[1]

    @property
    def voxels(self) -> int:
        """Voxels of all parts together."""
        return sum(part.shape[2] for part in self.parts)

    def recorded(self, repeat: int) -> np.ndarray:
        """Return which clips have that repeat, bool (clip,).

        Looked up in a few stretches of voxels, so that a mapped file is not read for it.
        """
        found = np.zeros(len(self.rows), dtype=bool)
        for part in self.parts:
            for start in np.linspace(0, max(part.shape[2] - _WIDTH, 0), _SAMPLES).astype(int):
                stretch = part[self.rows, repeat, start : start + _WIDTH]
                found |= np.isfinite(stretch).any(axis=1)
            let_go(part)
        if not found.any():  # those stretches may lie in a medial wall
            for part in self.parts:
                found |= [bool(np.isfinite(part[row, repeat]).any()) for row in self.rows]
        return found

    def take(self, chosen: np.ndarray, repeat: int) -> np.ndarray:
        """Return the betas of some clips, float32 (trial, voxel)."""
        rows = self.rows[chosen]
        values = np.empty((len(rows), self.voxels), dtype=np.float32)
        first = 0
        for part in self.parts:
            last = first + part.shape[2]
            for row, place in zip(values, rows, strict=True):
                row[first:last] = part[place, repeat]
            let_go(part)
            first = last
        return values


def let_go(values: np.ndarray) -> None:
    """Give back the memory that a mapped file takes; what is read again is read from the file.

    Pages that were touched count as this process's memory until the system is short of it, which a
    limit on a job's memory need not wait for.
    """
    found: Any = values
    while found is not None and not isinstance(found, mmap.mmap):
        found = getattr(found, "base", None)
    if found is not None and hasattr(mmap, "MADV_DONTNEED"):
        found.madvise(mmap.MADV_DONTNEED)


def in_sets(count: int, size: int) -> list[np.ndarray]:
    """Return the numbers 0 to ``count`` in consecutive sets of about ``size``, int64 each."""
    return np.array_split(np.arange(count), max(1, round(count / size)))


class BetaStudy(Study):
    """A study of betas; a subclass says which blocks a subject has, and where voxels lie."""

    def __init__(self, source: StudySource) -> None:
        super().__init__(source)
        self._trials: dict[str, dict[str, tuple[Run, BetaBlock, np.ndarray]]] = {}
        self._blocks: tuple[str, list[BetaBlock]] | None = None

    @abstractmethod
    def read_blocks(self, subject: str) -> Sequence[BetaBlock]:
        """Return the blocks of a subject's betas, those of training in front."""

    def blocks(self, subject: str) -> list[BetaBlock]:
        """Return a subject's blocks; those of the subject that was asked for last are kept."""
        if self._blocks is None or self._blocks[0] != subject:
            self._blocks = (subject, _checked(list(self.read_blocks(subject)), subject))
        return self._blocks[1]

    def runs(self, subject: str) -> tuple[Run, ...]:
        """Return a run for each block and repeat; its rows are trials."""
        return tuple(run for run, *_ in self._by_name(subject).values())

    def _by_name(self, subject: str) -> dict[str, tuple[Run, BetaBlock, np.ndarray]]:
        if subject not in self._trials:
            self._trials[subject] = {}
            for block in self.blocks(subject):
                for repeat in range(block.repeats):
                    chosen = np.flatnonzero(block.recorded(repeat))
                    if len(chosen):
                        run = _run(subject, block, repeat, chosen)
                        self._trials[subject][run.id] = (run, block, chosen)
        return self._trials[subject]

    def load(self, run: Run) -> np.ndarray:
        """Return a run's responses, float32 (trial, voxel)."""
        known = self._by_name(run.subject)
        if run.id not in known:
            raise StudyError(
                "no such run", expected=", ".join(known), found=run.id, where=self.root
            )
        _, block, chosen = known[run.id]
        return block.take(chosen, run.repeat)


def _checked(blocks: list[BetaBlock], subject: str) -> list[BetaBlock]:
    """Return blocks of one number of voxels, or refuse them."""
    counts = {block.voxels for block in blocks}
    if len(counts) != 1:
        raise StudyError(
            "training and test responses differ in voxels",
            expected="one number of voxels a subject",
            found=", ".join(str(count) for count in sorted(counts)) or "no responses",
            where=f"{subject}, {blocks[0].path if blocks else 'no file'}",
        )
    return blocks


def _run(subject: str, block: BetaBlock, repeat: int, chosen: np.ndarray) -> Run:
    return Run(
        id=f"{block.name}_repeat-{repeat + 1:02d}",
        subject=subject,
        split=block.split,
        group=block.name,
        repeat=repeat,
        paths=(block.path,),
        repetition_time=1.0,
        n_volumes=len(chosen),
        events=tuple(
            Event(float(row), 1.0, block.clips[clip]) for row, clip in enumerate(chosen.tolist())
        ),
        trialwise=True,
    )
