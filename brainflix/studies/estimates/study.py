"""Studies whose responses were estimated a trial before: betas of shape (clip, repeat, voxel).

A run is one repeat of one set of clips, and a row of it one trial. Training clips are put into sets
because the t-test of reproducibility needs independent observations, each a set of clips of its
own; with one set of three repeats, as a study is often published, there would be a single one.
"""

from __future__ import annotations

import mmap
import tempfile
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from brainflix.config.studies import StudySource
from brainflix.errors import StudyError
from brainflix.formats.arrays import Hdf5Rows, Rows
from brainflix.formats.voxel_space import VoxelSpace
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


HELD = 1 << 30  # bytes of rows that are held in memory; more of them lie in a temporary file


def turn(slabs: Iterable[tuple[slice, np.ndarray]], n_trials: int, n_voxels: int) -> np.ndarray:
    """Return rows (trial, voxel), float32, of slabs (voxel, trial).

    Parameters
    ----------
    slabs : iterable of (slice, ndarray)
        Which voxels, and their values; together all voxels.
    n_trials, n_voxels : int
        Size of the whole.

    Returns
    -------
    ndarray of float32, shape (trial, voxel)
        In memory when it is small, else mapped from a temporary file without a name, which is gone
        when the array is; it lies where TMPDIR says.
    """
    if 4 * n_trials * n_voxels <= HELD:
        rows = np.empty((n_trials, n_voxels), dtype=np.float32)
    else:
        with tempfile.TemporaryFile() as file:
            rows = np.memmap(file, np.float32, "w+", shape=(n_trials, n_voxels))
    for part, slab in slabs:
        rows[:, part] = slab.T
    return rows


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
