"""Studies whose responses were estimated per trial (betas): the base of all of their readers.

A reader says which trials a subject has (:class:`BetaTable`) and where a row of each is read from
(:class:`TrialSource`); runs, loading and checks are the same for all. A run is one repeat of one
set of clips, and a row of it one trial. Training clips are put into sets because the t-test of
reproducibility needs independent observations, each a set of clips of its own; with one set of
three repeats, as a study is often published, there would be a single one.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from brainflix.config.studies import StudySource
from brainflix.errors import StudyError
from brainflix.formats.arrays import ArrayRows
from brainflix.formats.trial_rows import Axis, JoinedRows, TrialRows
from brainflix.formats.voxel_space import VoxelSpace
from brainflix.studies.study import Event, Run, Study

GLMSINGLE = (
    "the responses are betas of GLMsingle, which chose its noise regressors and ridge fractions by "
    "cross-validation over repeated conditions, which can be test clips: the estimates are tuned, "
    "if not fitted, with the help of test trials"
)
SET_SIZE = 240  # clips; a segment of a film in the study that the selection is from has as many


class TrialSource(Protocol):
    """Rows of betas, read when they are asked for."""

    @property
    def n_voxels(self) -> int:
        """Length of a row."""

    def take(self, index: np.ndarray, /) -> np.ndarray:
        """Return some rows, (trial, voxel), in the order of ``index``."""


@dataclass(frozen=True)
class ReadRows:
    """A source of rows that a function reads."""

    n_voxels: int
    take: Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class BetaTable:
    """Trials of a subject in one split.

    Parameters
    ----------
    split : {"train", "test"}
        Their split.
    clips : tuple of str
        The clip of each trial, in the order of recording.
    rows : ndarray of int, shape (trial,)
        The row of ``betas`` that belongs to each.
    sets : tuple of str
        Label of the set of clips that each trial's clip belongs to, unique for the subject;
        reproducibility is judged per set.
    paths : tuple of Path
        The files of the responses.
    betas : TrialSource
        Where the rows are read from.
    repeats : ndarray of int, shape (trial,), optional
        Which presentation of its clip each trial is, from 0; by default they are counted.

    Raises
    ------
    StudyError
        When clips, rows and sets differ in number, or none exists.
    """

    split: str
    clips: tuple[str, ...]
    rows: np.ndarray
    sets: tuple[str, ...]
    paths: tuple[Path, ...]
    betas: TrialSource
    repeats: np.ndarray | None = None

    def __post_init__(self) -> None:
        if not len(self.clips) == len(self.rows) == len(self.sets) > 0:
            raise StudyError(
                "trials, rows and sets differ in number",
                expected="one clip and one set for each row, and at least one row",
                found=f"{len(self.clips)} clips, {len(self.rows)} rows, {len(self.sets)} sets",
                where=", ".join(str(path) for path in self.paths),
            )


def clip_sets(split: str, clips: Sequence[str], size: int | None = None) -> dict[str, str]:
    """Return the label of each clip's set: so many neighbours in the study's order.

    Parameters
    ----------
    split : {"train", "test"}
        The clips' split, which starts the label: "train_set-01".
    clips : sequence of str
        Clips, possibly repeated, in the study's order.
    size : int, optional
        Clips per set. By default clips are divided evenly into the fewest sets of ``SET_SIZE`` or
        less: a set is what is in memory at a time, and a unit of the reproducibility.
    """
    order = list(dict.fromkeys(clips))
    count = -(-len(order) // SET_SIZE)
    width = size or -(-len(order) // max(count, 1))
    return {clip: f"{split}_set-{number // width + 1:02d}" for number, clip in enumerate(order)}


def consecutive_sets(count: int, size: int) -> list[np.ndarray]:
    """Return the numbers 0 to ``count`` in consecutive sets of about ``size``, int64 each."""
    return np.array_split(np.arange(count), max(1, round(count / size)))


def join_parts(parts: Sequence[np.ndarray], path: Path) -> JoinedRows:
    """Return betas (clip, repeat, voxel) in several arrays as rows, side by side.

    Raises
    ------
    StudyError
        When a part has other axes, or the parts differ in clips or repeats.
    """
    shapes = [part.shape for part in parts]
    if any(len(shape) != 3 for shape in shapes) or len({shape[:2] for shape in shapes}) != 1:
        raise StudyError(
            "betas of an unknown shape, or parts that do not fit each other",
            expected="(clip, repeat, voxel), the same clips and repeats in each part",
            found=", ".join(str(shape) for shape in shapes),
            where=path,
        )
    axes: tuple[Axis, ...] = ("clip", "repeat", "voxel")
    return JoinedRows([TrialRows(ArrayRows(part), axes, str(path)) for part in parts])


def repeated_trials(
    name: str,
    split: str,
    clips: Sequence[str],
    places: np.ndarray,
    betas: JoinedRows,
    recorded: np.ndarray,
    path: Path,
) -> list[BetaTable]:
    """Return the table of a set of clips whose repeats lie side by side; no table without trials.

    Parameters
    ----------
    name : str
        Label of the set, unique for the subject.
    split : {"train", "test"}
        Its split.
    clips : sequence of str
        The clips of the set.
    places : ndarray of int64, shape (clip,)
        The place of each clip along the first axis of the betas.
    betas : JoinedRows
        Betas (clip, repeat, voxel) of a whole file.
    recorded : ndarray of bool, shape (clip * repeat,)
        Which of their trials were recorded, see :meth:`TrialRows.recorded`.
    path : Path
        The file that the first part lies in.

    Raises
    ------
    StudyError
        When the betas have fewer clips.
    """
    n_clips, n_repeats = betas.lead
    if len(clips) != len(places) or places.max(initial=-1) >= n_clips:
        raise StudyError(
            "betas and their clips differ in number",
            expected=f"{len(clips)} clips",
            found=f"{n_clips} rows",
            where=path,
            remedy="download the file again, or name the file that belongs to these clips",
        )
    # (clip * repeat,) -> (clip of the set, repeat), and the trials that were recorded
    numbers, repeats = np.nonzero(recorded.reshape(n_clips, n_repeats)[places])
    if not len(numbers):
        return []
    shown = tuple(clips[number] for number in numbers.tolist())
    rows = places[numbers] * n_repeats + repeats
    return [BetaTable(split, shown, rows, (name,) * len(shown), (path,), betas, repeats)]


@dataclass(frozen=True)
class _BetaRun:
    """A run, and where its rows are: the table's number and rows of its betas, int (trial,)."""

    run: Run
    table: int
    rows: np.ndarray


class BetaStudy(Study):
    """A study of betas; a subclass says which trials a subject has and where they are read."""

    def __init__(self, source: StudySource) -> None:
        super().__init__(source)
        self._beta_runs: dict[str, dict[str, _BetaRun]] = {}
        self._opened_tables: tuple[str, list[BetaTable]] | None = None

    @abstractmethod
    def read_tables(self, subject: str) -> Sequence[BetaTable]:
        """Return the trials of a subject, those of training in front."""

    def tables(self, subject: str) -> list[BetaTable]:
        """Return a subject's tables; those of the subject that was asked for last are kept."""
        if self._opened_tables is None or self._opened_tables[0] != subject:
            self.known(subject)
            self._opened_tables = (subject, _checked(list(self.read_tables(subject)), subject))
        return self._opened_tables[1]

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
        return tuple(one.run for one in self._by_name(subject).values())

    def _by_name(self, subject: str) -> dict[str, _BetaRun]:
        if subject not in self._beta_runs:
            self._beta_runs[subject] = {
                one.run.id: one
                for number, table in enumerate(self.tables(subject))
                for one in _table_runs(subject, table, number)
            }
        return self._beta_runs[subject]

    def load(self, run: Run) -> np.ndarray:
        """Return a run's responses, float32 (trial, voxel)."""
        runs = self._by_name(run.subject)
        if run.id not in runs:
            raise StudyError(
                "the subject has no such run",
                expected=", ".join(runs),
                found=run.id,
                where=self.root,
            )
        one = runs[run.id]
        rows = self.tables(run.subject)[one.table].betas.take(one.rows)
        with np.errstate(over="ignore"):  # beyond float32: infinite, and the voxel is dropped
            return np.asarray(rows, dtype=np.float32)

    def n_voxels(self, subject: str) -> int:
        """Return the number of voxels, which is the same in each table."""
        return self.tables(subject)[0].betas.n_voxels

    def voxels(self, subject: str) -> VoxelSpace:
        """Return the columns of the responses, whose place is unknown."""
        count = self.n_voxels(subject)
        return VoxelSpace(np.arange(count, dtype=np.int32)[:, None], (count,))


def _checked(tables: list[BetaTable], subject: str) -> list[BetaTable]:
    """Return tables of one number of voxels, or refuse them."""
    counts = {table.betas.n_voxels for table in tables}
    if len(counts) != 1:
        raise StudyError(
            "training and test responses differ in voxels" if counts else "no trial was recorded",
            expected="one number of voxels per subject" if counts else "at least one trial",
            found=", ".join(str(count) for count in sorted(counts)) or "no responses",
            where=f"{subject}, {tables[0].paths[0] if tables else 'all of its files'}",
        )
    return tables


def _table_runs(subject: str, table: BetaTable, number: int) -> list[_BetaRun]:
    """Return a run for each set of clips and repeat of a table, in the order of repeats.

    The i-th presentation of each clip of a set belongs to the i-th run of that set.
    """
    repeats = _counted(table.clips) if table.repeats is None else table.repeats.tolist()
    members: dict[tuple[int, str], list[int]] = {}
    for trial, key in enumerate(zip(repeats, table.sets, strict=True)):
        members.setdefault(key, []).append(trial)
    runs = []
    for (repeat, label), trials in sorted(members.items()):
        run = Run(
            id=f"{label}_repeat-{repeat + 1:02d}",
            subject=subject,
            split=table.split,
            group=label,
            repeat=repeat,
            paths=table.paths,
            repetition_time=1.0,
            n_volumes=len(trials),
            events=tuple(
                Event(float(row), 1.0, table.clips[trial]) for row, trial in enumerate(trials)
            ),
            trialwise=True,
        )
        runs.append(_BetaRun(run, number, table.rows[trials]))
    return runs


def _counted(clips: Sequence[str]) -> list[int]:
    """Return how often the clip of each trial was shown before."""
    counts: dict[str, int] = {}
    repeats = []
    for clip in clips:
        repeats.append(counts.get(clip, 0))
        counts[clip] = repeats[-1] + 1
    return repeats
