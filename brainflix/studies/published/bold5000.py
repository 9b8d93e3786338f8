"""BOLD5000 (Chang et al. 2019): about 5,000 pictures, 113 of them repeated, which are the test set.

Responses are the release 2.0 betas of five regions per hemisphere,
``BOLD5000_GLMsingle_ROI_betas/py/CSI1_GLMbetas-*_LHEarlyVis.npy`` (trial, voxel), in the order of
``BOLD5000_Stimuli/Stimuli_Presentation_Lists/CSI1/CSI1_sess01/CSI_sess01_run01.txt`` and so on.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import Field

from brainflix.config.base import Section
from brainflix.config.studies import StudySource
from brainflix.errors import ConfigError, StudyError
from brainflix.formats.arrays import open_rows
from brainflix.formats.links import path_within
from brainflix.formats.pickle import read_object_npy
from brainflix.formats.trial_rows import JoinedRows, TrialRows
from brainflix.studies.bids.stimuli import clip_name
from brainflix.studies.estimates.array_clips import named_captions
from brainflix.studies.estimates.pictures import PictureOptions, picture_frames
from brainflix.studies.estimates.study import BetaStudy, BetaTable, clip_sets
from brainflix.studies.study import Clip, check_groups

REGIONS = tuple(
    f"{side}{name}" for side in ("LH", "RH") for name in ("EarlyVis", "LOC", "OPA", "PPA", "RSC")
)
_FILE = re.compile(r"^(CSI\d+)_GLMbetas-.+_((?:LH|RH)[A-Za-z]+)\.npy$")
_RUN = re.compile(r"sess(\d+).*run(\d+)\.txt$", re.IGNORECASE)
_LISTS = "Stimuli_Presentation_Lists"
_REPEATED = "repeated_stimuli_113_list.txt"


class Bold5000Options(Section):
    """Options of the reader bold5000."""

    betas: str = Field(default="BOLD5000_GLMsingle_ROI_betas/py", description="folder of the betas")
    stimuli: str = Field(default="BOLD5000_Stimuli", description="folder of pictures and lists")
    regions: tuple[str, ...] = Field(default=REGIONS, description="regions whose voxels are read")
    caption: str | None = Field(
        default="a photo of {label}", description="caption of a picture whose label is known"
    )
    captions: str | None = Field(
        default=None, description="YAML or JSON file: a picture's name to its captions"
    )
    clips_per_group: int | None = Field(default=None, ge=3)


class Bold5000Study(BetaStudy):
    """A folder that holds the betas of regions and BOLD5000_Stimuli."""

    Options = Bold5000Options
    options: Bold5000Options

    def __init__(self, source: StudySource) -> None:
        super().__init__(source)
        self.stimuli = self.root / self.options.stimuli

    @functools.cached_property
    def _betas(self) -> dict[str, dict[str, Path]]:
        """Subject to region to file."""
        folder = self.root / self.options.betas
        files: dict[str, dict[str, Path]] = {}
        for path in sorted(folder.glob("*.npy")):
            match = _FILE.match(path.name)
            if match is not None:
                files.setdefault(match.group(1), {})[match.group(2)] = path
        if not files:
            raise StudyError(
                "the study has no subjects",
                expected="files CSI1_GLMbetas-*_LHEarlyVis.npy",
                found="none of them",
                where=folder,
                remedy="unpack BOLD5000_GLMsingle_ROI_betas, or name a folder by the option betas",
            )
        return files

    def subjects(self) -> tuple[str, ...]:
        """Return the subjects as the files name them: CSI1 to CSI4."""
        return tuple(sorted(self._betas))

    def _files(self, subject: str) -> list[Path]:
        """Return the files of the wanted regions, in their order."""
        self.known(subject)
        lacking = [region for region in self.options.regions if region not in self._betas[subject]]
        if lacking:
            raise ConfigError(
                "the subject lacks regions",
                expected=", ".join(sorted(self._betas[subject])),
                found=", ".join(lacking),
                where=f"the reader's option regions, {subject}, {self.root}",
                remedy="restore the files, or leave the regions out",
            )
        return [self._betas[subject][region] for region in self.options.regions]

    def _lists(self, subject: str) -> list[Path]:
        """Return the lists of what was presented, in the order of recording."""
        folder = self.stimuli / _LISTS / subject
        runs = []
        for path in folder.rglob("*.txt"):
            match = _RUN.search(path.name)
            if match is not None:
                runs.append((int(match.group(1)), int(match.group(2)), path))
        whole = folder / f"{subject}_imgnames.txt"
        if not runs and not whole.is_file():
            raise StudyError(
                "nothing says which picture each trial showed",
                expected=f"{subject}_sess01/CSI_sess01_run01.txt ..., or {whole.name}",
                found="neither",
                where=folder,
            )
        return [path for _, _, path in sorted(runs)] or [whole]

    @functools.cached_property
    def _repeated_list(self) -> Path:
        for folder in ("Scene_Stimuli", "Scene_Stimuli/Presented_Stimuli", "."):
            path = self.stimuli / folder / _REPEATED
            if path.is_file():
                return path
        raise StudyError(
            "the list of repeated pictures is missing, which separates training from test",
            expected=f"Scene_Stimuli/{_REPEATED}",
            found="nothing",
            where=self.stimuli,
        )

    @functools.cached_property
    def _test(self) -> frozenset[str]:
        return frozenset(_key(name) for name in _lines(self._repeated_list))

    def files(self, subject: str | None = None) -> list[Path]:
        """Return a subject's betas and lists, or the pictures and what is said of them."""
        if subject is not None:
            return [*self._files(subject), *self._lists(subject), self._repeated_list]
        lists = [path for one in self.subjects() for path in self._lists(one)]
        labels = self._labels_file
        held = [self._dictionary] if self._dictionary else sorted(self._pictures.values())
        named = [self.root / self.options.captions] if self.options.captions else []
        return [*held, *lists, self._repeated_list, *([labels] if labels else []), *named]

    @functools.cached_property
    def _pictures(self) -> dict[str, Path]:
        """Each picture's file by its name, in whatever folder of Presented_Stimuli it lies."""
        folder = self.stimuli / "Scene_Stimuli" / "Presented_Stimuli"
        files = (
            path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png")
        )
        return {path.name: path for path in sorted(files)}

    @functools.cached_property
    def _dictionary(self) -> Path | None:
        """img_dict.npy, in which some releases hold all pictures; files are preferred."""
        path = self.stimuli / "Scene_Stimuli" / "Presented_Stimuli" / "img_dict.npy"
        return path if path.is_file() and not self._pictures else None

    @functools.cached_property
    def _held(self) -> dict[str, np.ndarray]:
        content = read_object_npy(self._dictionary) if self._dictionary else {}
        if not isinstance(content, dict):
            raise StudyError(
                "img_dict.npy holds no pictures by name",
                found=type(content),
                where=self._dictionary,
            )
        return content

    @functools.cached_property
    def _labels_file(self) -> Path | None:
        path = self.stimuli / "Image_Labels" / "imagenet_final_labels.txt"
        return path if path.is_file() else None

    @functools.cached_property
    def _labels(self) -> dict[str, str]:
        """What each WordNet number stands for: the first of its names."""
        lines = _lines(self._labels_file) if self._labels_file else []
        pairs = (line.partition(" ") for line in lines)
        return {number: names.split(",")[0].strip() for number, _, names in pairs}

    def _shown(self, subject: str) -> list[str]:
        """Return the picture of each trial; a repetition is marked by rep_ in the lists."""
        names = [line for path in self._lists(subject) for line in _lines(path)]
        return [name.removeprefix("rep_") for name in names]

    @functools.cached_property
    def _clips(self) -> dict[str, Clip]:
        """Every picture that a subject on disk saw, by its file's name, in the order of names."""
        names = sorted({name for subject in self.subjects() for name in self._shown(subject)})
        where = f"the reader's option captions of study {self.root}"
        named = self.options.captions
        captions = (
            named_captions(
                self.root / path_within(named, "a file", where, "put it into the folder")
            )
            if named
            else {}
        )
        return {name: self._clip(name, captions.get(name, ())) for name in names}

    def _clip(self, name: str, texts: tuple[str, ...]) -> Clip:
        source, label = _source(name, self._labels)
        if not texts and label and self.options.caption:
            texts = (self.options.caption.format(label=label),)
        identity = clip_name(name)
        if self._dictionary is None and name not in self._pictures:
            raise StudyError(
                "a picture is missing",
                expected=name,
                found="no file of this name",
                where=self.stimuli / "Scene_Stimuli" / "Presented_Stimuli",
                remedy="unpack BOLD5000_Stimuli; docs/studies/bold5000.md says where it is",
            )
        return Clip(
            id=identity,
            split="test" if _key(name) in self._test else "train",
            group=identity,
            path=self._pictures.get(name),
            captions=texts,
            attributes={"source": source} | ({"label": label} if label else {}),
        )

    def clips(self) -> tuple[Clip, ...]:
        """Return a clip for each picture that a subject on disk saw."""
        clips = tuple(self._clips.values())
        check_groups(clips)
        return clips

    def frames(self, clip: Clip) -> np.ndarray | None:
        """Return a picture of img_dict.npy, uint8 (1, height, width, 3)."""
        if self._dictionary is None:
            return None
        names = {known.id: name for name, known in self._clips.items()}
        values = self._held.get(names[clip.id])
        if values is None:
            raise StudyError(
                "a picture is missing", expected=names[clip.id], where=self._dictionary
            )
        return picture_frames(
            np.asarray(values), PictureOptions(), f"{self._dictionary}, {clip.id}"
        )

    def _regions(self, subject: str) -> list[TrialRows]:
        return [
            TrialRows(open_rows(path, None), ("trial", "voxel"), str(path))
            for path in self._files(subject)
        ]

    def read_tables(self, subject: str) -> Sequence[BetaTable]:
        """Return the trials of both splits; repeated pictures are the test set."""
        shown, regions = self._shown(subject), self._regions(subject)
        lengths = {rows.where: len(rows) for rows in regions}
        if set(lengths.values()) != {len(shown)}:
            raise StudyError(
                "betas and lists differ in number",
                expected=f"{len(shown)} trials, as listed",
                found=lengths,
                where=f"{subject}, {self.root}",
                remedy="restore the subject's lists, one for each run",
            )
        tables = []
        for split in ("train", "test"):
            rows = [k for k, name in enumerate(shown) if self._clips[name].split == split]
            clips = [self._clips[shown[row]].id for row in rows]
            size = self.options.clips_per_group if split == "train" else None
            sets = clip_sets(split, clips, size)
            labels = tuple(sets[clip] for clip in clips)
            paths = tuple(self._files(subject))
            betas = JoinedRows(regions)
            tables.append(BetaTable(split, tuple(clips), np.array(rows), labels, paths, betas))
        return tables

    def notices(self, subject: str) -> tuple[str, ...]:
        """Return how the betas were estimated."""
        return (
            "the betas are those of GLMsingle, which chose its noise regressors and its ridge "
            "penalty on repeated pictures, and these are the test pictures",
        )


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError("a list cannot be read", found=error, where=path) from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def _key(name: str) -> str:
    """Return what identifies a picture in spite of the two ways in which COCO files are named."""
    return name.removeprefix("rep_").removeprefix("COCO_train2014_")


def _source(name: str, labels: dict[str, str]) -> tuple[str, str]:
    """Return which collection a picture is from, and its label if one is known."""
    number = name.partition("_")[0]
    if re.fullmatch(r"n\d{8}", number):
        return "imagenet", labels.get(number, "")
    if name.startswith("COCO_") or re.fullmatch(r"\d{12}\.\w+", name):
        return "coco", ""
    return "scene", re.sub(r"\d+$", "", Path(name).stem).replace("_", " ").strip()
