"""Generic Object Decoding (Horikawa and Kamitani 2017): 1,200 training and 50 test pictures.

Two layouts: the arrays that MinD-Vis and others share (``sbj_k.npz``), and the BData files of the
authors (``SubjectK.h5`` or ``.mat``). Pictures are in ``images_256.npz`` or in folders ``training``
and ``test``, as they are requested from the authors.
"""

from __future__ import annotations

import csv
import functools
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from brainflix.config.studies import StudySource
from brainflix.errors import StudyError
from brainflix.formats.archives import list_members
from brainflix.formats.arrays import read_array
from brainflix.formats.voxel_space import VoxelSpace
from brainflix.studies.estimates.pictures import PictureOptions, picture_frames
from brainflix.studies.estimates.study import BetaStudy, BetaTable
from brainflix.studies.published.god_responses import (
    LISTS,
    BDataResponses,
    GodOptions,
    GodResponses,
    NpzResponses,
    image_name,
)
from brainflix.studies.study import Clip, check_groups

_NPZ = re.compile(r"^sbj_(\d+)\.npz$")
_BDATA = re.compile(r"^(?:Subject|sub-?)(\d+)\.(?:h5|mat)$", re.IGNORECASE)
_PICTURES = ("*.JPEG", "*.jpeg", "*.jpg", "*.png", "*.tif", "*.tiff")


class GodStudy(BetaStudy):
    """A folder of responses, pictures and, best, the lists that name the pictures."""

    Options = GodOptions
    options: GodOptions

    def __init__(self, source: StudySource) -> None:
        super().__init__(source)
        self._opened: dict[str, GodResponses] = {}

    @functools.cached_property
    def _files(self) -> dict[str, Path]:
        """The file of each subject; npz before BData where there are both."""
        files: dict[str, Path] = {}
        for pattern in (_BDATA, _NPZ):
            for path in sorted(self.root.iterdir()) if self.root.is_dir() else ():
                match = pattern.match(path.name)
                if match is not None:
                    files[f"sub-{int(match.group(1)):02d}"] = path
        if not files:
            raise StudyError(
                "the study has no subjects",
                expected="files sbj_1.npz or Subject1.h5",
                found="none of them",
                where=self.root,
            )
        return files

    def subjects(self) -> tuple[str, ...]:
        """Return the subjects by number: sbj_1.npz is sub-01."""
        return tuple(sorted(self._files))

    def files(self, subject: str | None = None) -> list[Path]:
        """Return a subject's one file, or the pictures and their lists."""
        if subject is not None:
            self.known(subject)
            return [self._files[subject]]
        lists = [path for split in LISTS for path in [self._list(split)] if path is not None]
        index = self.root / "imagenet_class_index.json"
        images = self.root / self.options.images
        pictures = [images] if images.is_file() else [p for s in LISTS for p in self._folder(s)]
        if not pictures:
            raise StudyError(
                "the pictures are missing",
                expected=f"{self.options.images}, or a folder with training/ and test/",
                found="nothing",
                where=self.root,
                remedy="request them from the authors; docs/studies/god.md says where",
            )
        return [*pictures, *lists, *([index] if index.is_file() else [])]

    def _list(self, split: str) -> Path | None:
        paths = (self.root / name for name in LISTS[split])
        return next((path for path in paths if path.is_file()), None)

    def _folder(self, split: str) -> list[Path]:
        name = "training" if split == "train" else "test"
        folder = self.root / self.options.images / name
        return sorted(path for pattern in _PICTURES for path in folder.glob(pattern))

    @functools.cached_property
    def _images(self) -> Path | None:
        path = self.root / self.options.images
        if path.is_file():
            list_members(path)
        return path if path.is_file() else None

    @functools.cached_property
    def _names(self) -> dict[str, list[str]]:
        """The clips of each split in the order of images_256.npz, or of the lists."""
        names: dict[str, list[str]] = {}
        for split, key in (("train", "train_images"), ("test", "test_images")):
            path = self._list(split)
            if path is not None:
                names[split] = _listed(path)
            elif self._images is None:
                names[split] = [picture.stem for picture in self._folder(split)]
            else:
                count = len(read_array(self._images, key))
                names[split] = [f"{split}-{number + 1:04d}" for number in range(count)]
            if self._images is not None:
                count = len(read_array(self._images, key))
                if count != len(names[split]):
                    raise StudyError(
                        "the list and the pictures differ in number",
                        expected=f"{count} names",
                        found=len(names[split]),
                        where=path,
                    )
        return names

    @functools.cached_property
    def _classes(self) -> dict[str, str]:
        """What each WordNet number stands for, from imagenet_class_index.json."""
        path = self.root / "imagenet_class_index.json"
        if not path.is_file():
            return {}
        try:
            content: dict[str, list[str]] = json.loads(path.read_text(encoding="utf-8"))
            return {
                number: str(entry[-1]).replace("_", " ")
                for entry in content.values()
                for number in entry[:-1]
            }
        except (OSError, ValueError, AttributeError, IndexError, TypeError) as error:
            raise StudyError(
                "the list of classes cannot be read", found=error, where=path
            ) from error

    def clips(self) -> tuple[Clip, ...]:
        """Return a clip for each picture; pictures of one category are one group."""
        clips = []
        for split, names in self._names.items():
            files = (
                {path.stem: path for path in self._folder(split)} if self._images is None else {}
            )
            for name in names:
                if self._images is None and name not in files:
                    raise StudyError(
                        "a picture is missing", expected=f"{name}.JPEG", where=self.root
                    )
                category = name.partition("_")[0] if name.startswith("n0") else name
                label = self._classes.get(category, "")
                text = self.options.caption
                captions = (text.format(category=label),) if text and label else ()
                attributes = {"category": label} if label else {}
                clips.append(
                    Clip(
                        id=name,
                        split=split,
                        group=category,
                        path=files.get(name),
                        captions=captions,
                        attributes=attributes,
                    )
                )
        check_groups(clips)
        return tuple(clips)

    def frames(self, clip: Clip) -> np.ndarray | None:
        """Return a picture of images_256.npz, uint8 (1, height, width, 3)."""
        if self._images is None:
            return None
        key = "train_images" if clip.split == "train" else "test_images"
        values = np.asarray(self._pictures(key)[self._place[clip.id]])
        return picture_frames(
            np.clip(values, 0, 255), PictureOptions(), f"{self._images}, {clip.id}"
        )

    @functools.cached_property
    def _place(self) -> dict[str, int]:
        return {name: k for names in self._names.values() for k, name in enumerate(names)}

    @functools.lru_cache(maxsize=2)  # noqa: B019 (a study lives as long as its process)
    def _pictures(self, key: str) -> Any:
        return read_array(self._images, key) if self._images else None

    def _responses(self, subject: str) -> GodResponses:
        if subject not in self._opened:
            self.known(subject)
            path = self._files[subject]
            kind = NpzResponses if path.suffix == ".npz" else BDataResponses
            self._opened = {subject: kind(path, self.options)}
        return self._opened[subject]

    def read_tables(self, subject: str) -> Sequence[BetaTable]:
        """Return the trials of both splits."""
        return self._responses(subject).tables(self._names, self.options.clips_per_group)

    def voxels(self, subject: str) -> VoxelSpace:
        """Return where the voxels of the regions lie."""
        return self._responses(subject).space()

    def notices(self, subject: str) -> tuple[str, ...]:
        """Return how the test responses were read."""
        return self._responses(subject).notices()


def _listed(path: Path) -> list[str]:
    """Return the pictures of a list: rows of a label and a file name."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            rows = [row for row in csv.reader(stream) if row]
        return [Path(row[1]).stem if len(row) > 1 else image_name(float(row[0])) for row in rows]
    except (OSError, ValueError, csv.Error) as error:
        raise StudyError("the list of pictures cannot be read", found=error, where=path) from error
