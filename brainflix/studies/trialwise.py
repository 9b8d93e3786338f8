"""Studies whose responses were estimated a trial (betas): trials become runs of repeated sets."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from brainflix.config import StudySource
from brainflix.errors import StudyError
from brainflix.studies.array_files import Hdf5Rows, Rows
from brainflix.studies.betas import let_go
from brainflix.studies.study import Event, Run, Study, VoxelSpace
from brainflix.studies.transposed import turn

BLOCK = 1 << 24  # values looked at at a time
SET_SIZE = 240  # clips; a segment of a film in the study that the selection is from has as many
Axis = Literal["clip", "repeat", "trial", "voxel"]


class TrialRows:
    """Responses as rows (trial, voxel), whatever the order of their axes in the file.

    Parameters
    ----------
    rows : Rows
        The array.
    axes : sequence of str
        What its axes are: "trial" and "voxel", or "clip", "repeat" and "voxel". Trials are then
        the repeats of the first clip, those of the second, and so on.
    where : str
        For messages.
    """

    def __init__(self, rows: Rows, axes: Sequence[Axis], where: str) -> None:
        if len(axes) != len(rows.shape) or 0 in rows.shape:
            raise StudyError(
                "responses of an unknown form",
                expected=f"({', '.join(axes)}), none of them empty",
                found=rows.shape,
                where=where,
                remedy="say by the option axes what the axes of the array are",
            )
        self.where = where
        known: tuple[Axis, ...] = ("clip", "trial", "repeat", "voxel")
        order = [axis for axis in known if axis in axes]
        self.permutation = [list(axes).index(axis) for axis in order]
        self.lead = tuple(rows.shape[place] for place in self.permutation[:-1])
        self.n_voxels = rows.shape[self.permutation[-1]]
        self.rows = rows
        if self.permutation[-1] != len(axes) - 1:  # trials last: turned once
            self.rows = Rows(self._turned(rows))
            self.lead, self.permutation = (len(self),), [0, 1]

    def _turned(self, rows: Rows) -> np.ndarray:
        """Return rows (trial, voxel) of an array that has its voxels first or in between."""
        source = rows.source
        if isinstance(source, Hdf5Rows) and not source.columns and self.permutation[-1] == 0:
            step = max(BLOCK // len(self), 1)
            lead = [place - 1 for place in self.permutation[:-1]]

            def slabs() -> Iterator[tuple[slice, np.ndarray]]:
                for first in range(0, self.n_voxels, step):
                    last = min(first + step, self.n_voxels)
                    slab = source.take(np.arange(first, last))
                    turned = np.transpose(slab, [0, *(place + 1 for place in lead)])
                    yield slice(first, last), turned.reshape(last - first, -1)

            return turn(slabs(), len(self), self.n_voxels)
        values = source.whole() if isinstance(source, Hdf5Rows) else source
        moved = np.transpose(values, self.permutation)
        step = max(BLOCK // len(self), 1)
        parts = (
            slice(first, min(first + step, self.n_voxels))
            for first in range(0, self.n_voxels, step)
        )
        pieces = ((part, moved[..., part].reshape(len(self), -1).T) for part in parts)
        return turn(pieces, len(self), self.n_voxels)

    def __len__(self) -> int:
        return int(np.prod(self.lead))

    def take(self, index: np.ndarray) -> np.ndarray:
        """Return the responses to some trials, (trial, voxel)."""
        places = np.unravel_index(np.asarray(index, dtype=np.int64), self.lead)
        source = self.rows.source
        if not isinstance(source, Hdf5Rows):
            taken = np.transpose(source, self.permutation)[places]
            let_go(source)
            return taken
        if len(places) == 1:
            return source.take(places[0])
        ordered = [places[self.permutation.index(axis)] for axis in range(len(places))]
        return source.take_each(ordered)

    def recorded(self) -> np.ndarray:
        """Return which trials hold any number at all, bool (trial,); missing repeats are NaN."""
        step = max(BLOCK // self.n_voxels, 1)
        found = np.empty(len(self), dtype=bool)
        for first in range(0, len(self), step):
            block = self.take(np.arange(first, min(first + step, len(self))))
            found[first : first + step] = ~np.isnan(block).all(axis=1)
        return found


@dataclass(frozen=True)
class TrialTable:
    """The trials of a subject in one split.

    Parameters
    ----------
    split : {"train", "test"}
        Their split.
    clips : tuple of str
        The clip of each trial, in the order of recording.
    rows : ndarray of int, shape (trial,)
        The row of the responses that belongs to each.
    sets : tuple of str
        The set of clips that each trial's clip belongs to; reproducibility is judged a set.
    paths : tuple of Path
        The files of the responses.
    """

    split: str
    clips: tuple[str, ...]
    rows: np.ndarray
    sets: tuple[str, ...]
    paths: tuple[Path, ...]

    def __post_init__(self) -> None:
        if not len(self.clips) == len(self.rows) == len(self.sets) > 0:
            raise StudyError(
                "trials, rows and sets differ in number",
                expected="one clip and one set a row, and at least one",
                found=f"{len(self.clips)} clips, {len(self.rows)} rows, {len(self.sets)} sets",
                where=", ".join(str(path) for path in self.paths),
            )


def clip_sets(clips: Sequence[str], size: int | None = None) -> dict[str, str]:
    """Return the set of each clip: so many neighbours of the study's order.

    Parameters
    ----------
    clips : sequence of str
        Clips, possibly repeated, in the study's order.
    size : int, optional
        Clips a set. By default clips are divided evenly into the fewest sets of ``SET_SIZE`` or
        less: a set is what is in memory at a time, and a unit of the reproducibility.
    """
    order = list(dict.fromkeys(clips))
    count = -(-len(order) // SET_SIZE)
    width = size or -(-len(order) // max(count, 1))
    return {clip: f"set-{number // width + 1:02d}" for number, clip in enumerate(order)}


def table_runs(subject: str, table: TrialTable) -> dict[str, tuple[Run, np.ndarray]]:
    """Return a run for each set of clips and repeat, with the rows that it stands for.

    The i-th presentation of each clip of a set makes the i-th run of that set.
    """
    counts: dict[str, int] = {}
    members: dict[tuple[int, str], list[int]] = {}
    for trial, (clip, group) in enumerate(zip(table.clips, table.sets, strict=True)):
        repeat = counts.get(clip, 0)
        counts[clip] = repeat + 1
        members.setdefault((repeat, group), []).append(trial)
    runs: dict[str, tuple[Run, np.ndarray]] = {}
    for (repeat, group), trials in sorted(members.items()):
        name = f"{table.split}_{group}_repeat-{repeat + 1:02d}"
        run = Run(
            id=name,
            subject=subject,
            split=table.split,
            group=f"{table.split}_{group}",
            repeat=repeat,
            paths=table.paths,
            repetition_time=1.0,
            n_volumes=len(trials),
            events=tuple(
                Event(float(row), 1.0, table.clips[trial]) for row, trial in enumerate(trials)
            ),
            trialwise=True,
        )
        runs[name] = (run, table.rows[trials])
    return runs


class TrialStudy(Study):
    """A study of responses estimated a trial. A reader says which trials and rows there are."""

    def __init__(self, source: StudySource) -> None:
        super().__init__(source)
        self._indexed: dict[str, dict[str, tuple[Run, np.ndarray]]] = {}

    @abstractmethod
    def tables(self, subject: str) -> Sequence[TrialTable]:
        """Return the trials of each split of a subject."""

    @abstractmethod
    def responses(self, subject: str, split: str, rows: np.ndarray) -> np.ndarray:
        """Return rows of the responses of a split, (trial, voxel)."""

    @abstractmethod
    def n_voxels(self, subject: str) -> int:
        """Return the number of columns of the responses, the same in each split."""

    def _runs(self, subject: str) -> dict[str, tuple[Run, np.ndarray]]:
        if subject not in self._indexed:
            self.known(subject)
            found: dict[str, tuple[Run, np.ndarray]] = {}
            for table in self.tables(subject):
                found |= table_runs(subject, table)
            self._indexed[subject] = found
        return self._indexed[subject]

    def known(self, subject: str) -> None:
        """Raise :class:`StudyError` for a subject that the study lacks."""
        if subject not in self.subjects():
            raise StudyError(
                "the subject is not in the study",
                expected=", ".join(self.subjects()) or "at least one subject",
                found=subject,
                where=self.root,
            )

    def runs(self, subject: str) -> tuple[Run, ...]:
        """Return a run for each set of clips and repeat; its rows are trials."""
        return tuple(run for run, _ in self._runs(subject).values())

    def load(self, run: Run) -> np.ndarray:
        """Return a run's responses, float32 (trial, voxel)."""
        runs = self._runs(run.subject)
        if run.id not in runs:
            raise StudyError("no such run", expected=", ".join(runs), found=run.id, where=self.root)
        rows = self.responses(run.subject, run.split, runs[run.id][1])
        with np.errstate(over="ignore"):  # beyond float32: infinite, and the voxel is dropped
            return np.asarray(rows, dtype=np.float32)

    def voxels(self, subject: str) -> VoxelSpace:
        """Return the columns of the responses, whose place is unknown."""
        count = self.n_voxels(subject)
        return VoxelSpace(np.arange(count, dtype=np.int32)[:, None], (count,))
