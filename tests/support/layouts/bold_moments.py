"""BOLD Moments (ds005165) written as it lies on disk: events, fMRIPrep, betas, annotations, clips.

Names, axes, types and irregularities are the published ones: unpadded run numbers, oddballs without
a stimulus, trials that were not recorded as NaN, float64 pickles of the highest protocol. Clips,
repeats of training clips a run, and vertices are fewer.
"""

from __future__ import annotations

import json
import pickle
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from support.layouts.cc2017 import write_cifti_run
from support.studies_on_disk import write_gifti, write_tsv, write_video

TR = 1.75
SPACING = 4.0  # s from clip to clip
SPLITS = {"train": 3, "test": 10}  # repeats


@dataclass(frozen=True)
class Size:
    """How much of the study is written; published are 1000, 102 and 163842 per hemisphere."""

    train: int = 24
    test: int = 6
    left: int = 14
    right: int = 10
    noise: float = 0.6
    events: int = 12

    @property
    def voxels(self) -> int:
        """Vertices of both hemispheres."""
        return self.left + self.right

    def numbers(self, split: str) -> list[int]:
        """Return the numbers of a split's clips."""
        first, count = (1, self.train) if split == "train" else (1001, self.test)
        return list(range(first, first + count))


def seeded(*names: object) -> np.random.Generator:
    """Return a generator that depends on names alone."""
    return np.random.default_rng(zlib.crc32(repr(names).encode()))


def drive(number: int, size: Size) -> np.ndarray:
    """Return what a clip does to each vertex, (vertex,): two thirds respond."""
    values = seeded("bmd", number).standard_normal(size.voxels)
    values[2 * size.voxels // 3 :] = 0.0
    return values


def write_stimuli(root: Path, size: Size, videos: bool = True) -> None:
    """Write annotations.json and the stimulus set."""
    annotations = {}
    for split in SPLITS:
        for number in size.numbers(split):
            clip = f"{number:04d}"
            film = root / f"stimulus_set/stimuli/{split}/{clip}.mp4"
            if videos:
                write_video(film, 3.0, seed=number, rate=4, size=32)
            annotations[clip] = {
                "MiT_filename": f"bending/flickr-{number}.mp4",
                "set": split,
                "bmd_matrixfilename": f"vid_idx{clip}",
                "objects": [["t-shirt", "hat", "drum"], ["hat", "chair", "--"], ["--"] * 3],
                "scenes": ["stage/indoor", "stage/indoor", "bazaar/indoor", "pub", "pub"],
                "actions": ["dancing", "performing", "performing", "stretching", "cheering"],
                "text_descriptions": [f"person {k} sees clip {clip} " for k in range(5)],
                "spoken_transcription": "people are dancing",
                "memorability_score": 0.9,
            }
    path = root / "derivatives/stimuli_metadata/annotations.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(annotations))


def betas(split: str, size: Size) -> np.ndarray:
    """Return the normalised betas of a subject, float64 (clip, repeat, vertex)."""
    rows = np.stack([drive(number, size) for number in size.numbers(split)])
    noise = seeded("betas", split).standard_normal((len(rows), SPLITS[split], size.voxels))
    values = rows[:, None] + size.noise * noise
    if split == "train":
        values[2, 2] = np.nan  # a trial that was not recorded
    return values


def write_fsaverage(root: Path, size: Size, subject: str = "sub-01") -> None:
    """Write a pair of pickles per hemisphere."""
    folder = root / "derivatives/versionB/fsaverage/GLM" / subject / "prepared_betas"
    folder.mkdir(parents=True)
    for split in SPLITS:
        names = [f"vid{number:04d}" for number in size.numbers(split)]
        halves = np.split(betas(split, size), [size.left], axis=2)
        for side, half in zip(("left", "right"), halves, strict=True):
            name = f"{subject}_organized_betas_task-{split}_hemi-{side}_normalized.pkl"
            dump((np.ascontiguousarray(half), names), folder / name)


def write_fs_lr(root: Path, size: Size, subject: str = "sub-01") -> None:
    """Write one pickle per split of all grayordinates."""
    folder = root / "derivatives/versionB/fsLR32k/GLM" / subject / "prepared_betas"
    folder.mkdir(parents=True)
    for split in SPLITS:
        names = [f"vid{number:04d}" for number in size.numbers(split)]
        path = folder / f"{subject}_organized_betas_task-{split}_normalized.pkl"
        dump((betas(split, size), names), path)


def write_regions(root: Path, size: Size, subject: str = "sub-01") -> None:
    """Write a dictionary per region: Group41, without names, and V1 with them."""
    folder = root / subject / "prepared_allvoxel_pkl"
    folder.mkdir(parents=True)
    both = {split: betas(split, size) for split in SPLITS}
    for region, part in (("Group41", slice(0, 20)), ("V1", slice(20, None))):
        table = {f"{split}_data_allvoxel": both[split][..., part] for split in SPLITS}
        table |= {"roi_indices_hcp": np.arange(size.voxels)[part] * 7}
        table |= {"test_noiseceiling_allvoxel": np.zeros(table["roi_indices_hcp"].size)}
        if region == "V1":
            for split in SPLITS:
                table[f"{split}_stim_order"] = [f"vid{n:04d}" for n in size.numbers(split)]
        dump(table, folder / f"{region}_betas-GLMsingle_type-typed_z=1.pkl")


def dump(content: object, path: Path) -> None:
    """Pickle as the study's scripts do."""
    path.write_bytes(pickle.dumps(content, protocol=pickle.HIGHEST_PROTOCOL))


def write_series(root: Path, size: Size, form: str = "cifti", subject: str = "sub-01") -> None:
    """Write raw events and fMRIPrep's CIFTI or GIFTI series of two sessions."""
    for split, repeats in SPLITS.items():
        rounds = [seeded(split, r).permutation(size.numbers(split)) for r in range(repeats)]
        order = [int(number) for one in rounds for number in one]
        runs = [order[k : k + size.events] for k in range(0, len(order), size.events)]
        half = (len(runs) + 1) // 2
        for number, shown in enumerate(runs):
            session, run = f"ses-0{2 + number // half}", number % half + 1
            stem = f"{subject}_{session}_task-{split}_run-{run}"
            _write_run(root, size, form, (subject, session, stem, split), shown)


def _write_run(
    root: Path, size: Size, form: str, names: tuple[str, str, str, str], shown: list[int]
) -> None:
    subject, session, stem, split = names
    lines, place = [], 0
    onsets = []
    for count, number in enumerate(shown):
        if count % 5 == 4:
            lines.append((f"{4.019 + SPACING * place:.3f}", "3.000", "n/a", "oddball", 1))
            place += 1
        onsets.append(4.019 + SPACING * place)
        lines.append((f"{onsets[-1]:.3f}", "3.000", f"{split}/{number:04d}.mp4", split, 0))
        place += 1
    columns = ("onset", "duration", "stim_file", "trial_type", "value")
    write_tsv(root / subject / session / "func" / f"{stem}_events.tsv", columns, lines)
    rows = size.noise * seeded(stem).standard_normal((int((onsets[-1] + 15) / TR), size.voxels))
    for onset, number in zip(onsets, shown, strict=True):
        rows[round((onset + 5.0) / TR)] += drive(number, size)
    rows = (500 + 10 * rows).astype(np.float32)
    folder = root / "derivatives/versionB/fmriprep" / subject / session / "func"
    folder.mkdir(parents=True, exist_ok=True)
    if form == "cifti":
        write_cifti_run(folder / f"{stem}_space-fsLR_den-91k_bold.dtseries.nii", rows, TR)
        return
    for hemi, part in zip("LR", np.split(rows, [size.left], axis=1), strict=True):
        write_gifti(folder / f"{stem}_hemi-{hemi}_space-fsaverage_bold.func.gii", part, TR)
