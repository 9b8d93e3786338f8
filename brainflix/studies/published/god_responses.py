"""Responses of Generic Object Decoding, of the arrays that are shared and of the authors' files."""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from brainflix.config.base import Section
from brainflix.errors import ConfigError, StudyError
from brainflix.formats.arrays import npz_names, read_npz
from brainflix.formats.bdata import BData, voxel_grid
from brainflix.formats.voxel_space import VoxelSpace
from brainflix.studies.estimates.study import BetaTable, ReadRows, clip_sets

LISTS = {
    "train": ("imagenet_training_label.csv", "imageID_training.csv", "image_training_id.csv"),
    "test": ("imagenet_testing_label.csv", "imageID_test.csv", "image_test_id.csv"),
}


class GodOptions(Section):
    """Options of the reader god."""

    roi: str | tuple[str, ...] = Field(
        default="VC", description="regions of interest, such as VC or [V1, V2]; all for all voxels"
    )
    test: Literal["auto", "single", "averaged"] = Field(
        default="auto",
        description="test responses of sbj_k.npz: single trials where their order can be verified, "
        "or the averages over 35 presentations",
    )
    images: str = Field(default="images_256.npz", description="pictures: an npz, or a folder")
    caption: str | None = Field(
        default="a photo of {category}", description="caption of a picture whose class is known"
    )
    clips_per_group: int | None = Field(default=None, ge=3)


class GodResponses(ABC):
    """The responses of one subject, whatever file they are in."""

    path: Path
    columns: np.ndarray  # of the voxels of the regions, int (voxel,)

    @abstractmethod
    def tables(self, names: dict[str, list[str]], group: int | None) -> list[BetaTable]:
        """Return the trials of both splits; ``names`` are the clips of each."""

    @abstractmethod
    def take(self, split: str, rows: np.ndarray) -> np.ndarray:
        """Return rows of a split, (trial, voxel)."""

    @abstractmethod
    def space(self) -> VoxelSpace:
        """Return where the voxels lie."""

    def notices(self) -> tuple[str, ...]:
        """Return what must be known of the responses."""
        return ()

    def _table(
        self, split: str, clips: Sequence[str], order: Sequence[str], group: int | None
    ) -> BetaTable:
        """Return the table of a split whose i-th row shows the i-th of ``clips``."""
        sets = clip_sets(split, order, group if split == "train" else None)
        labels = tuple(sets[clip] for clip in clips)
        betas = ReadRows(len(self.columns), functools.partial(self.take, split))
        rows = np.arange(len(clips))
        return BetaTable(split, tuple(clips), rows, labels, (self.path,), betas)


class NpzResponses(GodResponses):
    """``sbj_k.npz``: arr_0 training, arr_1 test trials, arr_2 their averages, arr_3 pictures.

    Nothing in the file says which picture each row of arr_1 belongs to. An order is used only when
    the averages that follow from it are those of arr_2.
    """

    def __init__(self, path: Path, options: GodOptions) -> None:
        self.path, self.options = path, options
        names = npz_names(path)
        self.masks = [name for name in names if not name.startswith("arr_")]
        self.arrays = {name: read_npz(path, name) for name in names if name.startswith("arr_")}
        lacking = [name for name in ("arr_0", "arr_2", "arr_3") if name not in self.arrays]
        if lacking:
            raise StudyError(
                "the file lacks responses",
                expected="arr_0 to arr_3",
                found=", ".join(names),
                where=path,
            )
        self.n_columns = self.arrays["arr_0"].shape[-1]
        widths = {
            name: self.arrays[name].shape
            for name in ("arr_0", "arr_1", "arr_2")
            if name in self.arrays
        }
        if any(len(shape) != 2 or shape[1] != self.n_columns for shape in widths.values()):
            raise StudyError(
                "training and test responses differ in voxels",
                expected=f"(trial, {self.n_columns})",
                found=widths,
                where=path,
            )
        self.columns = self._columns()

    def _columns(self) -> np.ndarray:
        wanted = (self.options.roi,) if isinstance(self.options.roi, str) else self.options.roi
        if wanted == ("all",):
            return np.arange(self.n_columns)
        chosen = np.zeros(self.n_columns, dtype=bool)
        for roi in wanted:
            name = roi if roi in self.masks else f"ROI_{roi}"
            if name not in self.masks:
                raise ConfigError(
                    "the study lacks a region",
                    expected=", ".join(sorted(self.masks)) + " or all",
                    found=roi,
                    where=f"the reader's option roi, {self.path}",
                )
            mask = np.asarray(read_npz(self.path, name)).ravel()
            if mask.shape != chosen.shape:
                raise StudyError(
                    "a region's mask does not fit the responses",
                    expected=self.n_columns,
                    found=mask.shape,
                    where=f"{self.path}, {name}",
                )
            chosen |= mask.astype(bool)
        return np.flatnonzero(chosen)

    @functools.cached_property
    def order(self) -> np.ndarray | None:
        """The picture of each row of arr_1, int (trial,), where it can be verified."""
        single, averaged = self.arrays.get("arr_1"), np.asarray(self.arrays["arr_2"])
        if single is None or len(single) % len(averaged):
            return None
        count = len(averaged)
        candidates = [
            np.repeat(np.arange(count), len(single) // count),
            np.tile(np.arange(count), len(single) // count),
        ]
        labels = self.arrays.get("arr_4")
        if labels is not None and labels.shape == (len(single),) and labels.dtype.kind in "iu":
            candidates.insert(0, np.asarray(labels))
        # A candidate is right when the averages that follow from it are those of arr_2, compared in
        # some 64 voxels spread over the regions, within a thousandth of their deviation.
        columns = self.columns[:: max(len(self.columns) // 64, 1)]
        values, means = np.asarray(single)[:, columns], averaged[:, columns]
        for candidate in candidates:
            counts = np.bincount(candidate, minlength=count)
            if len(counts) != count or counts.min() < 1:
                continue
            # (trial, voxel) -> (picture, voxel): sums of each picture's trials, then their means
            sums = np.zeros(means.shape)
            np.add.at(sums, candidate, values)
            scale = float(np.nanstd(means)) or 1.0
            if np.allclose(sums / counts[:, None], means, atol=1e-3 * scale, equal_nan=True):
                return candidate
        return None

    @property
    def single(self) -> bool:
        """Whether test responses are single trials."""
        if self.options.test == "single" and self.order is None:
            raise StudyError(
                "the order of the single test trials cannot be determined",
                expected="rows of arr_1 whose averages are arr_2",
                found="no order by picture or by repeat that fits",
                where=self.path,
                remedy="set the reader's option test to averaged, or read the authors' BData files",
            )
        return self.options.test != "averaged" and self.order is not None

    def tables(self, names: dict[str, list[str]], group: int | None) -> list[BetaTable]:
        """Return the trials of both splits."""
        shown = {"train": np.asarray(self.arrays["arr_3"]).ravel().astype(np.int64)}
        shown["test"] = (
            np.asarray(self.order) if self.single else np.arange(len(self.arrays["arr_2"]))
        )
        tables = []
        for split, index in shown.items():
            if index.min(initial=0) < 0 or index.max(initial=-1) >= len(names[split]):
                raise StudyError(
                    f"a {split} response belongs to no {split} picture",
                    expected=f"pictures 0 to {len(names[split]) - 1}",
                    found=f"{index.min()} to {index.max()}",
                    where=self.path,
                )
            clips = [names[split][number] for number in index]
            rows = len(self._array(split))
            if len(clips) != rows:
                raise StudyError(
                    "responses and pictures differ in number",
                    expected=f"{rows} pictures, one for each response",
                    found=len(clips),
                    where=self.path,
                )
            tables.append(self._table(split, clips, names[split], group))
        return tables

    def _array(self, split: str) -> np.ndarray:
        return self.arrays["arr_0" if split == "train" else "arr_1" if self.single else "arr_2"]

    def take(self, split: str, rows: np.ndarray) -> np.ndarray:
        """Return rows of a split."""
        return np.asarray(self._array(split)[rows])[:, self.columns]

    def space(self) -> VoxelSpace:
        """Return the columns of the file."""
        return VoxelSpace(self.columns.astype(np.int32)[:, None], (self.n_columns,))

    def notices(self) -> tuple[str, ...]:
        """Return how the test responses were read."""
        if self.single:
            return ()
        return (
            "test responses are averages over all presentations of a picture; scores of single "
            "trials are those of the averages",
        )


class BDataResponses(GodResponses):
    """``SubjectK.h5``: samples of all runs; DataType 1 training, 2 test, 3 imagery (left out)."""

    def __init__(self, path: Path, options: GodOptions) -> None:
        self.path = path
        self.data = BData(path)
        wanted = (options.roi,) if isinstance(options.roi, str) else options.roi
        keys = ["VoxelData"] if wanted == ("all",) else [f"ROI_{roi}" for roi in wanted]
        self.columns = np.unique(np.concatenate([self.data.columns(key) for key in keys]))
        kind = np.rint(self.data.samples("DataType"))
        label = "stimulus_id" if "stimulus_id" in self.data.keys else "Label"
        labels = self.data.samples(label)
        self.rows = {"train": np.flatnonzero(kind == 1), "test": np.flatnonzero(kind == 2)}
        self.shown = {
            split: [image_name(labels[row]) for row in rows] for split, rows in self.rows.items()
        }

    def tables(self, names: dict[str, list[str]], group: int | None) -> list[BetaTable]:
        """Return the trials of both splits."""
        tables = []
        for split, clips in self.shown.items():
            unknown = sorted(set(clips) - set(names[split]))
            if unknown:
                raise StudyError(
                    f"{split} responses belong to pictures that the study lacks",
                    expected=f"{len(names[split])} pictures of {', '.join(LISTS[split])}",
                    found=", ".join(unknown[:5]),
                    where=self.path,
                )
            tables.append(self._table(split, clips, names[split], group))
        return tables

    def take(self, split: str, rows: np.ndarray) -> np.ndarray:
        """Return rows of a split."""
        return self.data.take(self.rows[split][rows], self.columns)

    def space(self) -> VoxelSpace:
        """Return the voxels' grid, rebuilt from their coordinates in mm where they have such."""
        grid = voxel_grid(self.data, self.columns)
        if grid is None:
            position = self.columns.astype(np.int32)[:, None]
            return VoxelSpace(position, (self.data.shape[1],))
        index, affine = grid
        shape = tuple(int(size) for size in index.max(axis=0) + 1)
        return VoxelSpace(index, shape, affine, "native")


def image_name(label: float) -> str:
    """Return the file stem of an ImageNet picture by its label: 1518878.005958: n01518878_5958."""
    if not math.isfinite(label) or label < 1:
        raise StudyError("a label of a picture is impossible", found=label)
    category = math.floor(label + 5e-7)
    return f"n{category:08d}_{round((label - category) * 1e6)}"
