"""The published layouts that run from their files to videos: a row a study and form.

A row says how a small study is written and how a person would configure it. Add a row for a new
reader; ``tests/test_studies_to_videos.py`` does the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.layouts import arrays as arrays
from support.layouts import bold5000 as bold5000
from support.layouts import bold_moments as bmd
from support.layouts import cc2017 as cc2017
from support.layouts import glmsingle as glmsingle
from support.layouts import god as god
from support.layouts import had as had
from support.layouts import mosaic as mosaic
from support.studies_on_disk import Plan, write_study

FILMS = cc2017.Size(train=3, test=1, test_repeats=3, volumes=10)
PART = {"segments": list(FILMS.segments), "test_repeats": 3, "volumes": 10}
CLIPS = bmd.Size(train=24, test=6)
ACTIONS = had.Size(actions=6, subjects=2)


@dataclass(frozen=True)
class Layout:
    """A study as it is published, and its section of a configuration.

    Parameters
    ----------
    reader : str
        Its reader.
    write : callable
        Writes the study into a folder, which is its root.
    options : dict
        The reader's options.
    subjects : tuple of str
        The subjects that are used.
    selection, response : dict
        How voxels are selected and responses read.
    file : str
        The file in the folder that is the root, if one is.
    """

    reader: str
    write: Callable[[Path], object]
    options: dict[str, Any] = field(default_factory=dict)
    subjects: tuple[str, ...] = ("sub-01",)
    selection: dict[str, Any] = field(default_factory=lambda: {"method": "all"})
    response: dict[str, Any] = field(default_factory=lambda: {"delay": 4.0, "window": 1})
    file: str = ""

    def section(self, root: Path) -> dict[str, Any]:
        """Return the study's section of a configuration."""
        return {
            "reader": self.reader,
            "root": str(root / self.file),
            "options": self.options,
            "subjects": list(self.subjects),
            "preprocessing": {
                "cleaning": {"detrend_order": 2},
                "selection": self.selection,
                "response": self.response,
            },
        }


def _bmd(*parts: Callable[[Path, bmd.Size], None]) -> Callable[[Path], None]:
    def write(root: Path) -> None:
        for part in (bmd.write_stimuli, *parts):
            part(root, CLIPS)

    return write


def _had(*parts: Callable[[Path, had.Size], None]) -> Callable[[Path], None]:
    def write(root: Path) -> None:
        for part in (had.write_events, *parts):
            part(root, ACTIONS)

    return write


TESTED = {"method": "reproducibility", "alpha": 0.2}
LAYOUTS = {
    "bids_gifti": Layout(
        reader="bids",
        write=lambda root: write_study(root, Plan(gifti=True, clips_per_set=6, noise=0.2)),
        subjects=("sub-01", "sub-02"),
        selection=TESTED,
    ),
    "cc2017_cifti": Layout(
        reader="cc2017",
        write=lambda root: cc2017.write_release(root, FILMS, subjects=2),
        options=PART,
        subjects=("subject1", "subject2"),
        selection=TESTED,
    ),
    "cc2017_mni": Layout(
        reader="cc2017",
        write=lambda root: cc2017.write_release(root, FILMS, form="mni"),
        options={"form": "mni", "trim": False, **PART},
        subjects=("subject1",),
        selection=TESTED,
    ),
    "cc2017_mind_video": Layout(
        reader="cc2017",
        write=lambda root: cc2017.write_mind_video(root, FILMS),
        options={"form": "mind_video"},
        subjects=("subject1",),
    ),
    "cc2017_neuroclips": Layout(
        reader="cc2017",
        write=lambda root: cc2017.write_neuroclips(root, FILMS),
        options={"form": "neuroclips", "clips_per_segment": FILMS.volumes},
        subjects=("subj01",),
        selection=TESTED,
    ),
    "bold_moments_series": Layout(
        reader="bold_moments",
        write=_bmd(bmd.write_series),
        response={"delay": 5.0, "window": 1},
    ),
    "bold_moments_fsaverage": Layout(
        reader="bold_moments",
        write=_bmd(bmd.write_fsaverage),
        options={"form": "fsaverage", "clips_per_set": 6},
        selection=TESTED,
    ),
    "bold_moments_fslr": Layout(
        reader="bold_moments",
        write=_bmd(bmd.write_fs_lr),
        options={"form": "fsLR32k", "clips_per_set": 6},
        selection=TESTED,
    ),
    "bold_moments_regions": Layout(
        reader="bold_moments",
        write=_bmd(bmd.write_regions),
        options={"form": "regions", "regions": ["Group41", "V1"], "clips_per_set": 6},
        selection=TESTED,
    ),
    "had_ciftify": Layout(
        reader="had", write=_had(had.write_ciftify), subjects=("sub-01", "sub-02")
    ),
    "had_cycles": Layout(
        reader="had",
        write=_had(had.write_cycles),
        options={"form": "cycles"},
        subjects=("sub-01", "sub-02"),
    ),
    "had_prepared": Layout(
        reader="had",
        write=_had(had.write_pairs),
        options={"form": "prepared", "subjects": ["sub-02"]},
        subjects=("sub-02",),
    ),
    "god_npz": Layout(reader="god", write=god.write_npz_study, subjects=("sub-01", "sub-02")),
    "god_bdata": Layout(reader="god", write=god.write_bdata_study, options={"roi": ["V1", "V2"]}),
    "bold5000": Layout(reader="bold5000", write=bold5000.write_study, subjects=("CSI1", "CSI4")),
    "bold5000_held": Layout(
        reader="bold5000",
        write=lambda root: bold5000.write_study(root, held=True),
        options={"regions": ["LHPPA", "RHPPA"]},
        subjects=("CSI4",),
    ),
    "glmsingle_python": Layout(
        reader="glmsingle", write=glmsingle.write_study, subjects=("sub-01", "sub-02")
    ),
    "glmsingle_matlab": Layout(
        reader="glmsingle",
        write=lambda root: glmsingle.write_study(root, suffix=".mat"),
        options={"clips_per_group": 4},
        selection=TESTED,
    ),
    "arrays": Layout(reader="arrays", write=arrays.write_study, file="study.yaml"),
    "mosaic": Layout(
        reader="mosaic", write=mosaic.write_study, subjects=("sub-01_BMD", "sub-02_BMD")
    ),
}
