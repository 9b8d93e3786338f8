"""Any study that GLMsingle was run on: one output folder per subject, and what each trial showed.

::

    stimuli.tsv                              the clips, as for BIDS derivatives
    stimuli/0001.mp4 ...
    sub-01/TYPED_FITHRF_GLMDENOISE_RR.npy    or .hdf5 or .mat; in a folder per session if there are
    sub-01/trials.tsv                        clip or stim_file of each trial, in order
    sub-01/DESIGNINFO.npy                    optional; the order in trials.tsv is compared with it

Without ``trials.tsv``, a column ``condition`` of ``stimuli.tsv`` says which column of the design
matrix a clip was, and the order is that of DESIGNINFO.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import Field

from brainflix.config.base import Section
from brainflix.config.studies import StudySource
from brainflix.errors import StudyError
from brainflix.formats import images
from brainflix.formats.links import path_within
from brainflix.formats.tsv import read_table
from brainflix.formats.voxel_space import VoxelSpace
from brainflix.studies.bids.stimuli import StimulusTable, read_stimuli, stimulus_file
from brainflix.studies.estimates.glmsingle_files import SUFFIXES, BetaRows, Betas, stimulus_order
from brainflix.studies.estimates.study import BetaStudy, BetaTable, ReadRows, clip_sets
from brainflix.studies.study import Clip, check_groups

TABLE = "stimuli.tsv"


class GlmSingleOptions(Section):
    """Options of the reader glmsingle."""

    model: str = Field(
        default="TYPED_FITHRF_GLMDENOISE_RR", description="file of betas, without its suffix"
    )
    trials: str = Field(default="trials.tsv", description="table of trials next to the betas")
    stimuli: str = Field(default="stimuli", description="folder of the clips' files")
    mask: str | None = Field(
        default=None, description="NIfTI on the betas' grid; {subject} stands for the subject"
    )
    space: str = Field(default="", description="name of the betas' space, such as T1w")
    clips_per_group: int | None = Field(
        default=None, ge=3, description="split training clips into sets for the reproducibility"
    )
    clip_duration: float = Field(default=1.0, gt=0, description="s, where stimuli.tsv has none")


@dataclass(frozen=True)
class Fit:
    """One output folder of GLMsingle: its betas and the clip of each trial."""

    betas: Betas
    clips: tuple[str, ...]
    order_read: bool


class GlmSingleStudy(BetaStudy):
    """A folder of output folders of GLMsingle."""

    Options = GlmSingleOptions
    options: GlmSingleOptions

    def __init__(self, source: StudySource) -> None:
        super().__init__(source)
        self._opened: dict[str, list[Fit]] = {}

    @functools.cached_property
    def _folders(self) -> dict[str, list[Path]]:
        """The output folders of each subject, one per session."""
        folders_of: dict[str, list[Path]] = {}
        for depth in ("*", "*/*", "*/*/*"):
            for suffix in SUFFIXES:
                for path in sorted(self.root.glob(f"{depth}/{self.options.model}{suffix}")):
                    subject = path.relative_to(self.root).parts[0]
                    if path.parent not in folders_of.setdefault(subject, []):
                        folders_of[subject].append(path.parent)
        if not folders_of:
            raise StudyError(
                "the study has no subjects",
                expected=f"SUBJECT/{self.options.model} with {' or '.join(SUFFIXES)}",
                found="none",
                where=self.root,
                remedy="name the file by the reader's option model, or put a folder for each "
                "subject into the root",
            )
        return {subject: sorted(folders) for subject, folders in folders_of.items()}

    def subjects(self) -> tuple[str, ...]:
        """Return the folders of the root that hold betas."""
        return tuple(sorted(self._folders))

    def _file(self, folder: Path) -> Path:
        paths = (folder / f"{self.options.model}{suffix}" for suffix in SUFFIXES)
        return next(path for path in paths if path.is_file())

    def _mask(self, subject: str) -> Path | None:
        if self.options.mask is None:
            return None
        text = self.options.mask.replace("{subject}", subject)
        where = f"the reader's option mask of study {self.root}"
        return self.root / path_within(
            text, "a mask", where, "put the mask into the study's folder"
        )

    def files(self, subject: str | None = None) -> list[Path]:
        """Return a subject's betas, tables and mask, or the clips' files and their table."""
        table = self.root / TABLE
        if not table.is_file():
            raise StudyError(
                "the study lists no stimuli",
                expected=f"a table {TABLE}: clip, stim_file, split, captions",
                where=self.root,
            )
        if subject is None:
            return [
                table,
                *(self.root / self.options.stimuli / name for name in self._stimuli.by_file),
            ]
        self.known(subject)
        mask = self._mask(subject)
        files = [table, *([] if mask is None else [mask])]
        for folder in self._folders[subject]:
            beside = [folder / self.options.trials]
            beside += [folder / f"DESIGNINFO{suffix}" for suffix in SUFFIXES]
            files += [self._file(folder), *(path for path in beside if path.is_file())]
        return files

    @functools.cached_property
    def _stimuli(self) -> StimulusTable:
        return read_stimuli(self.root / TABLE, self.options.stimuli)

    @functools.cached_property
    def _conditions(self) -> dict[int, str]:
        """Which clip each column of the design matrix was, empty when stimuli.tsv does not say."""
        table = read_table(self.root / TABLE)
        if "condition" not in table.columns:
            return {}
        names = list(self._stimuli.by_clip)
        numbers = [table.number(row, "condition") for row in range(len(table.rows))]
        clips = {round(n): name for n, name in zip(numbers, names, strict=True) if n is not None}
        if len(clips) != sum(number is not None for number in numbers):
            raise StudyError("two clips have one condition", where=self.root / TABLE)
        return clips

    def clips(self) -> tuple[Clip, ...]:
        """Return the clips of stimuli.tsv."""
        clips = []
        for stimulus in self._stimuli.by_clip.values():
            path = (
                None if stimulus.file is None else self.root / self.options.stimuli / stimulus.file
            )
            clips.append(
                Clip(
                    id=stimulus.clip,
                    split=stimulus.split or "train",
                    group=stimulus.group or stimulus.clip,
                    path=path,
                    onset=stimulus.onset,
                    duration=stimulus.duration or self.options.clip_duration,
                    captions=stimulus.captions,
                    attributes=stimulus.attributes,
                )
            )
        check_groups(clips)
        return tuple(clips)

    def _fits(self, subject: str) -> list[Fit]:
        if subject not in self._opened:
            self.known(subject)
            fits = [self._fit(folder) for folder in self._folders[subject]]
            shapes = {fit.betas.shape for fit in fits}
            if len(shapes) != 1:
                raise StudyError(
                    "the sessions of a subject lie on different grids",
                    expected="one grid",
                    found=shapes,
                    where=f"{subject}, {self.root}",
                )
            self._opened = {subject: fits}
        return self._opened[subject]

    def _fit(self, folder: Path) -> Fit:
        betas = Betas(self._file(folder))
        table = folder / self.options.trials
        if table.is_file():
            clips = self._listed(table)
            try:
                order = stimulus_order(folder)
            except StudyError:
                order = None  # reported by notices
            if order is not None:
                _compare(order, clips, table)
        else:
            order = stimulus_order(folder)
            clips = self._designed(order, folder)
        if len(clips) != betas.n_trials:
            raise StudyError(
                "betas and trials differ in number",
                expected=f"{betas.n_trials} trials, one for each beta",
                found=len(clips),
                where=table if table.is_file() else folder,
                remedy="list the trials of all runs in the order of recording, nothing left out",
            )
        return Fit(betas, clips, order is not None)

    def _listed(self, path: Path) -> tuple[str, ...]:
        """Return the clip of each trial from trials.tsv."""
        table = read_table(path)
        column = next((name for name in ("clip", "stim_file") if name in table.columns), None)
        if column is None:
            raise StudyError(
                "the table names no stimuli",
                expected="a column clip or stim_file",
                found=", ".join(table.columns),
                where=path,
            )
        clips = []
        for row, cells in enumerate(table.rows):
            clip = self._clip_of(cells[column], column, table.line(row))
            if clip is None:
                raise StudyError(
                    "a trial shows a clip that stimuli.tsv lacks",
                    expected=f"one of {len(self._stimuli.by_clip)} clips",
                    found=cells[column] or "an empty cell",
                    where=table.line(row),
                )
            clips.append(clip)
        return tuple(clips)

    def _clip_of(self, text: str, column: str, where: str) -> str | None:
        if column == "clip":
            return text if text in self._stimuli.by_clip else None
        parts = self._stimuli.by_file.get(stimulus_file(text, self.options.stimuli, where), [])
        return parts[0].clip if len(parts) == 1 else None

    def _designed(self, order: np.ndarray | None, folder: Path) -> tuple[str, ...]:
        """Return the clip of each trial from the design's order of conditions."""
        if order is None or not self._conditions:
            raise StudyError(
                "nothing says which clip each trial showed",
                expected=f"{self.options.trials} next to the betas, or DESIGNINFO and a column "
                f"condition in {TABLE}",
                where=folder,
            )
        unknown = sorted(set(order.tolist()) - set(self._conditions))
        if unknown:
            raise StudyError(
                "a trial shows a condition that stimuli.tsv lacks",
                expected=f"conditions {min(self._conditions)} to {max(self._conditions)}",
                found=unknown[:10],
                where=folder,
                remedy="count conditions from 0 for Python and from 1 for MATLAB",
            )
        return tuple(self._conditions[number] for number in order.tolist())

    def read_tables(self, subject: str) -> Sequence[BetaTable]:
        """Return the trials of each split; rows count over all sessions."""
        betas = ReadRows(len(self._place(subject)[0]), functools.partial(self._read, subject))
        shown = [clip for fit in self._fits(subject) for clip in fit.clips]
        paths = tuple(fit.betas.path for fit in self._fits(subject))
        splits = {clip.id: clip.split for clip in self.clips()}
        sets: dict[str, str] = {}
        for split, size in (("train", self.options.clips_per_group), ("test", None)):
            sets |= clip_sets(split, [clip for clip in splits if splits[clip] == split], size)
        tables = []
        for split in ("train", "test"):
            rows = [row for row, clip in enumerate(shown) if splits[clip] == split]
            clips = tuple(shown[row] for row in rows)
            labels = tuple(sets[clip] for clip in clips)
            if rows:
                tables.append(BetaTable(split, clips, np.array(rows), labels, paths, betas))
        return tables

    @functools.lru_cache(maxsize=1)  # noqa: B019 (a study lives as long as its process)
    def _place(self, subject: str) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the voxels that are read, as flat indices, and the affine if it is known."""
        betas = self._fits(subject)[0].betas
        path = self._mask(subject)
        if path is None:
            return betas.finite(), None
        mask, affine = images.read_mask(path)
        if mask.shape != betas.shape:
            raise StudyError(
                "the mask does not lie on the betas' grid",
                expected=betas.shape,
                found=mask.shape,
                where=path,
            )
        return np.flatnonzero(mask), affine

    def voxels(self, subject: str) -> VoxelSpace:
        """Return the voxels of the mask, or those with betas; indices on the betas' grid."""
        flat, affine = self._place(subject)
        shape = self._fits(subject)[0].betas.shape
        position = np.stack(np.unravel_index(flat, shape), axis=1).astype(np.int32)
        return VoxelSpace(position, shape, affine, self.options.space)

    @functools.lru_cache(maxsize=1)  # noqa: B019 (a study lives as long as its process)
    def _rows(self, subject: str) -> list[BetaRows]:
        voxels = self._place(subject)[0]
        return [fit.betas.rows(voxels) for fit in self._fits(subject)]

    def _read(self, subject: str, rows: np.ndarray) -> np.ndarray:
        """Return the betas of some trials, float32 (trial, voxel)."""
        values = np.empty((len(rows), len(self._place(subject)[0])), dtype=np.float32)
        # Rows count over all sessions: each session fills those of the wanted rows that it holds.
        first = 0
        for betas in self._rows(subject):
            count = betas.betas.n_trials
            own = np.flatnonzero((rows >= first) & (rows < first + count))
            if len(own):
                values[own] = betas.take(rows[own] - first)
            first += count
        return values

    def notices(self, subject: str) -> tuple[str, ...]:
        """Return whether test clips took part in what GLMsingle chose."""
        notices = []
        test = next((table for table in self.tables(subject) if table.split == "test"), None)
        shown = Counter(() if test is None else test.clips)
        repeated = sum(count > 1 for count in shown.values())
        if repeated and self.options.model.startswith(("TYPEC", "TYPED")):
            notices.append(
                "GLMsingle chose its noise regressors and ridge penalty on repeated conditions, "
                f"among them {repeated} repeated test clips: test responses are cleaner than those "
                "of a clip that is shown once"
            )
        if not all(fit.order_read for fit in self._fits(subject)):
            notices.append("the order of trials could not be compared with DESIGNINFO")
        return tuple(notices)


def _compare(order: np.ndarray, clips: Sequence[str], where: Path) -> None:
    """Raise when trials of one condition show different clips, or of different ones the same."""
    if len(order) != len(clips):
        raise StudyError(
            "the table and the design differ in trials",
            expected=f"{len(order)} trials, as in DESIGNINFO",
            found=len(clips),
            where=where,
        )
    pairs = set(zip(order.tolist(), clips, strict=True))
    conditions, shown = set(order.tolist()), set(clips)
    if not len(pairs) == len(conditions) == len(shown):
        raise StudyError(
            "the order of the table is not that of the design",
            expected="one clip for each condition of DESIGNINFO",
            found=f"{len(pairs)} pairs of {len(conditions)} conditions and {len(shown)} clips",
            where=where,
            remedy="list the trials in the order of recording, run after run",
        )
