"""Betas of HAD: the published ones, one file per cycle, and single-trial ones as pickled arrays."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from brainflix.errors import ConfigError, StudyError
from brainflix.formats import images
from brainflix.formats.pickle import read_pickle
from brainflix.formats.voxel_space import VoxelSpace
from brainflix.studies.estimates.study import (
    BetaStudy,
    BetaTable,
    join_parts,
    repeated_trials,
)
from brainflix.studies.published.had.events import ONCE, RUNS_A_CYCLE, HadBetaOptions, HadEvents
from brainflix.studies.published.pickled_pairs import read_pair
from brainflix.studies.published.stimulus_files import stimulus_clips
from brainflix.studies.study import SPLITS, Clip


class HadBetas(BetaStudy):
    """What both kinds share; a subclass knows the files and how rows are named."""

    Options = HadBetaOptions
    options: HadBetaOptions

    @functools.cached_property
    def events(self) -> HadEvents:
        """What was shown, to whom, in which run."""
        return HadEvents(self.root, self.options)

    @abstractmethod
    def beta_files(self, subject: str) -> list[Path]:
        """Return the files of a subject's betas, which need not exist."""

    def subjects(self) -> tuple[str, ...]:
        """Return the people whose first file of betas exists."""
        return tuple(one for one in self.events.subjects() if self.beta_files(one)[0].is_file())

    def clips(self) -> tuple[Clip, ...]:
        """Return the clips of all people."""
        return stimulus_clips(self.events.stimuli, self.root / self.options.stimuli)

    def files(self, subject: str | None = None) -> list[Path]:
        """Return the betas and events of a subject, or the clips and events of all."""
        if subject is None:
            folder = self.root / self.options.stimuli
            clips = [folder / name for name in sorted(self.events.stimuli.by_file)]
            tables = [table for one in self.events.subjects() for _, table in self._tables(one)]
            captions = self.options.captions
            return [*clips, *tables, *([] if captions is None else [self.root / captions])]
        tables = [table for _, table in self._tables(subject)]
        files = self.beta_files(subject)
        for path in files:
            if not path.is_file():
                raise self.events.missing(subject, path.name, path)
        return [*files, *tables]

    def _tables(self, subject: str) -> list[tuple[int, Path]]:
        return self.events.tables(subject)

    def clips_by_name(self, subject: str) -> dict[str, tuple[str, int]]:
        """Return file name without folder and suffix -> (clip, run) of what a person saw."""
        shown = self.events.shown(subject)
        return {_stem(file): (clip, run) for clip, (file, run) in shown.items()}

    def named(self, names: Sequence[Any], subject: str, where: Path) -> list[tuple[str, int]]:
        """Return clip and run of each row by the names of the stimuli.

        Raises
        ------
        StudyError
            When a name is not among what the person saw, or recurs.
        """
        known = self.clips_by_name(subject)
        stems = [_stem(str(name)) for name in names]
        strange = [stem for stem in stems if stem not in known]
        if strange or len(set(stems)) < len(stems):
            raise StudyError(
                "betas belong to clips that the person's events do not show, or twice to one",
                expected=f"names of the {len(known)} clips of {subject}",
                found=", ".join(strange[:3]) or "a name that recurs",
                where=where,
                remedy="check that betas and events are of the same person and version",
            )
        return [known[stem] for stem in stems]

    def notices(self, subject: str) -> tuple[str, ...]:
        """Return that repeats are missing."""
        return (ONCE,)


def _stem(name: str) -> str:
    """Return a stimulus name without folder and without .mp4; other dots belong to it."""
    return PurePosixPath(name.strip()).name.removesuffix(".mp4")


class HadCycles(HadBetas):
    """The published betas: one dscalar per cycle, (clip, grayordinate), named by the clips."""

    def beta_files(self, subject: str) -> list[Path]:
        """Return a file for each cycle, as many as the person's runs make."""
        folder = self.root / "derivatives/ciftify" / subject / "results"
        cycles = sorted({_cycle(run) for run, _ in self._tables(subject)})
        return [folder / f"ses-action01_task-action_cycle-{k}_beta.dscalar.nii" for k in cycles]

    def read_tables(self, subject: str) -> list[BetaTable]:
        """Return a table for each cycle, those of training in front."""
        self._refuse_parts_of_cycles(subject)
        tables = []
        for path in self.beta_files(subject):
            image = images.open_image(path)
            with images.readable(path):
                scalars, _ = images.cifti_axes(image, path)
                names = [str(name) for name in scalars.name]
                values = np.asarray(image.dataobj, dtype=np.float32)
            shown = self.named(names, subject, path)
            runs = {run for _, run in shown}
            splits = {self.events.split(run) for run in runs}
            if len(splits) != 1:
                raise StudyError(
                    "a cycle's betas belong to runs of both splits",
                    expected="three consecutive runs",
                    found=f"runs {', '.join(str(run) for run in sorted(runs))}",
                    where=path,
                )
            name = f"cycle-{_cycle(min(runs))}"
            clips = [clip for clip, _ in shown]
            betas = join_parts([values[:, None]], path)  # (clip, voxel) -> (clip, repeat, voxel)
            tables += repeated_trials(
                name, splits.pop(), clips, np.arange(len(clips)), betas, betas.recorded(), path
            )
        return sorted(tables, key=lambda table: table.split, reverse=True)

    def _refuse_parts_of_cycles(self, subject: str) -> None:
        tested = {_cycle(run) for run in self.options.test_runs}
        whole = {run for run, _ in self._tables(subject) if _cycle(run) in tested}
        if whole - set(self.options.test_runs):
            raise ConfigError(
                "test runs are a part of a cycle, whose betas are one file",
                expected=f"all of runs {', '.join(str(run) for run in sorted(whole))}",
                found=", ".join(str(run) for run in self.options.test_runs),
                where="the reader's option test_runs",
            )

    def voxels(self, subject: str) -> VoxelSpace:
        """Return the grayordinates of the betas."""
        return images.read_grayordinates(self.beta_files(subject)[0], "fsLR")


def _cycle(run: int) -> int:
    return (run - 1) // RUNS_A_CYCLE + 1


class HadPrepared(HadBetas):
    """Single-trial betas as pickles: a pair per split, or a dictionary of all trials per region.

    A pair is an array (clip, 1, voxel) and the names of the clips; a dictionary has
    ``data_allvoxel`` (clip, 1, voxel) and ``stim_order``. Splits are those of the person's runs,
    whatever the file is named.
    """

    def beta_files(self, subject: str) -> list[Path]:
        """Return the files that the option pattern names."""
        return [path for files in self._files_by_split(subject) for path in files]

    def _files_by_split(self, subject: str) -> list[list[Path]]:
        """Return a file per region, for each split that the pattern names."""
        pattern = self.options.pattern
        splits = SPLITS if "{split}" in pattern else ("",)
        regions = self.options.regions if "{region}" in pattern else ("",)
        return [
            [
                self.root / pattern.format(subject=subject, split=split, region=region)
                for region in regions
            ]
            for split in splits
        ]

    def read_tables(self, subject: str) -> list[BetaTable]:
        """Return a table for each split and file; regions are parts of one table."""
        tables = []
        files = self._files_by_split(subject)
        for number, paths in enumerate(files, start=1):
            read = [read_betas(path) for path in paths]
            names = read[0][1]
            if any(other != names for _, other in read):
                raise StudyError("regions differ in the order of their clips", where=paths[0])
            shown = self.named(names, subject, paths[0])
            betas = join_parts([values for values, _ in read], paths[0])
            recorded = betas.recorded()
            for split in SPLITS:
                rows = [k for k, (_, run) in enumerate(shown) if self.events.split(run) == split]
                label = f"{split}-{number}" if len(files) > 1 else split
                clips = [shown[row][0] for row in rows]
                places = np.array(rows, dtype=int)
                tables += repeated_trials(label, split, clips, places, betas, recorded, paths[0])
        return sorted(tables, key=lambda table: table.split, reverse=True)

    def voxels(self, subject: str) -> VoxelSpace:
        """Return the columns, the grayordinates of fsLR when there are as many."""
        count = self.n_voxels(subject)
        position = np.arange(count, dtype=np.int32)[:, None]
        return VoxelSpace(position, (count,), space="fsLR" if count in (59412, 91282) else "")


def read_betas(path: Path) -> tuple[np.ndarray, list[str]]:
    """Return the betas of a pickle, (clip, 1, voxel), and the names of the clips.

    Raises
    ------
    StudyError
        When it holds neither a pair nor a dictionary of these.
    """
    content = read_pickle(path)
    if not isinstance(content, Mapping):
        pair = read_pair(path)
        return pair[0], [str(name) for name in pair[1]]
    betas, order = content.get("data_allvoxel"), content.get("stim_order")
    if not isinstance(betas, np.ndarray) or order is None:
        raise StudyError(
            "the pickle holds no betas",
            expected="data_allvoxel and stim_order",
            found=", ".join(str(key) for key in content),
            where=path,
        )
    return betas, [str(name) for name in order]
