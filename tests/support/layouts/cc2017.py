"""CC2017 written as it lies on disk: Purdue's release, MinD-Video's arrays, NeuroClips' tensors.

Names, axes, types and irregularities are the published ones; voxels, pixels and, where ``Size``
says so, segments and their length are fewer.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from support.studies_on_disk import write_video

RELEASED_TR = 2.0
HEADER_TR = 1.0  # what the NIfTI headers say, wrongly


@dataclass(frozen=True)
class Size:
    """How much of the study is written."""

    train: int = 18
    test: int = 5
    train_repeats: int = 2
    test_repeats: int = 10
    volumes: int = 240
    voxels: int = 24
    picture: int = 32
    noise: float = 0.5

    @property
    def segments(self) -> tuple[str, ...]:
        """The names of the segments."""
        train = [f"seg{k}" for k in range(1, self.train + 1)]
        return (*train, *(f"test{k}" for k in range(1, self.test + 1)))

    def repeats(self, segment: str) -> int:
        """How often a segment was shown."""
        return self.test_repeats if segment.startswith("test") else self.train_repeats


def seeded(*names: object) -> np.random.Generator:
    """Return a generator that depends on names alone."""
    return np.random.default_rng(zlib.crc32(repr(names).encode()))


def drive(segment: str, clip: int, voxels: int) -> np.ndarray:
    """Return what a clip does to each voxel, (voxel,): the first two thirds respond."""
    values = seeded(segment, clip).standard_normal(voxels)
    values[2 * voxels // 3 :] = 0.0
    return values


def surplus(segment: str) -> int:
    """Return how many volumes a run of a segment has beyond its film."""
    return 5 if segment.startswith("seg") or segment == "test1" else 6


def run_rows(segment: str, repeat: int, size: Size) -> np.ndarray:
    """Return a run's values as released, float32 (volume, voxel): trend, response after 4 s."""
    lead = surplus(segment) - 4
    n_volumes = size.volumes + surplus(segment)
    rows = size.noise * seeded("noise", segment, repeat).standard_normal((n_volumes, size.voxels))
    for clip in range(size.volumes):  # a clip lasts a TR
        rows[lead + clip + 2] += drive(segment, clip, size.voxels)
    rows += 3 * np.linspace(-1, 1, n_volumes)[:, None] ** 2
    return (1000 + 20 * rows).astype(np.float32)


def grayordinates(voxels: int) -> nib.cifti2.BrainModelAxis:
    """Return brain models in the order of a 91k file: both cortices, then the rest."""
    left, right = voxels // 2, voxels - voxels // 2
    axis = nib.cifti2.BrainModelAxis.from_surface(np.arange(left) * 2, 100, "CortexLeft")
    axis += nib.cifti2.BrainModelAxis.from_surface(np.arange(right) * 3, 200, "CortexRight")
    mask = np.zeros((4, 4, 4), dtype=bool)
    mask[1, 1:3, 1:3] = True
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    return axis + nib.cifti2.BrainModelAxis.from_mask(mask, name="Thalamus_Left", affine=affine)


def write_cifti_run(path: Path, rows: np.ndarray, header_time: float = HEADER_TR) -> None:
    """Write cortical rows and four voxels of noise behind them as a dtseries."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rest = 900 + seeded(path.name).standard_normal((len(rows), 4))
    values = np.hstack([rows, rest]).astype(np.float32)
    series = nib.cifti2.SeriesAxis(0, header_time, len(rows))
    nib.save(nib.Cifti2Image(values, (series, grayordinates(rows.shape[1]))), path)


def write_mni_run(path: Path, rows: np.ndarray) -> None:
    """Write rows as int16 volumes with a scale, 0 outside of the brain, and a wrong TR."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.zeros((5, 4, 3, len(rows)), dtype=np.float32)
    values.reshape(-1, len(rows))[: rows.shape[1]] = rows.T
    image = nib.Nifti1Image(values, np.diag([2.0, 2.0, 2.0, 1.0]))
    image.set_data_dtype(np.int16)
    image.header.set_zooms((2.0, 2.0, 2.0, HEADER_TR))
    nib.save(image, path)


def write_release(root: Path, size: Size, form: str = "cifti", subjects: int = 1) -> None:
    """Write ``video_fmri_dataset`` below a folder."""
    folder = root / "video_fmri_dataset"
    for number, segment in enumerate(size.segments):
        film = folder / "stimuli" / f"{segment}.mp4"
        write_video(film, size.volumes * RELEASED_TR, number, rate=2, size=size.picture)
    for subject in range(1, subjects + 1):
        for segment in size.segments:
            for repeat in range(1, size.repeats(segment) + 1):
                rows = run_rows(segment, repeat, size)
                place = folder / f"subject{subject}" / "fmri" / segment / form
                if form == "cifti":
                    write_cifti_run(place / f"{segment}_{repeat}_Atlas.dtseries.nii", rows)
                    continue
                dot = "." if (segment, repeat) == ("test1", size.test_repeats - 1) else "_"
                write_mni_run(place / f"{segment}_{repeat}{dot}mni.nii.gz", rows)


def frames(split: str, segment: int, clip: int, size: Size) -> np.ndarray:
    """Return a clip's six frames, uint8 (frame, height, width, 3)."""
    rng = seeded("frames", split, segment, clip)
    block = rng.integers(0, 255, (6, 4, 4, 3), dtype=np.uint8)
    return block.repeat(size.picture // 4, axis=1).repeat(size.picture // 4, axis=2)


def write_mind_video(root: Path, size: Size) -> None:
    """Write the arrays of MinD-Video for subject1."""
    root.mkdir(parents=True, exist_ok=True)
    for split, count, prefix in (("train", size.train, "seg"), ("test", size.test, "test")):
        film = np.stack(
            [
                [frames(split, s, clip, size) for clip in range(size.volumes)]
                for s in range(1, count + 1)
            ]
        )
        np.save(root / f"video_{split}_256_3hz.npy", film)  # (segment, clip, frame, h, w, 3)
        text = [
            [[f"clip {c} of {prefix}{s}"] * 5 + ["a cut"] for c in range(size.volumes)]
            for s in range(1, count + 1)
        ]
        np.save(root / f"text_{split}_256_3hz.npy", np.array(text))
        rows = [
            [drive(f"{prefix}{s}", clip, size.voxels) for clip in range(size.volumes)]
            for s in range(1, count + 1)
        ]
        noise = size.noise * seeded("mind", split).standard_normal(np.shape(rows))
        values = (np.array(rows) + noise).astype(np.float64)
        np.save(root / f"fmri_{split}_subject1.npy", values)


def write_neuroclips(root: Path, size: Size, floats: bool = True) -> None:
    """Write the tensors of NeuroClips for subj01; needs torch."""
    import torch

    root.mkdir(parents=True, exist_ok=True)
    for split, count, prefix in (("train", size.train, "seg"), ("test", size.test, "test")):
        places = [(s, clip) for s in range(1, count + 1) for clip in range(size.volumes)]
        film = np.stack([frames(split, s, clip, size) for s, clip in places])
        film = film.transpose(0, 1, 4, 2, 3)  # (clip, frame, 3, h, w)
        tensor = torch.from_numpy(film.astype(np.float32) / 255 if floats else film.copy())
        torch.save(tensor, root / f"GT_{split}_3fps.pt")
        torch.save([f"clip {c} of {prefix}{s}" for s, c in places], root / f"GT_{split}_caption.pt")
        repeats = size.repeats(prefix)
        rows = np.stack([drive(f"{prefix}{s}", clip, size.voxels) for s, clip in places])
        noise = seeded("neuro", split).standard_normal((len(rows), repeats, size.voxels))
        values = (rows[:, None] + size.noise * noise).astype(np.float32)
        torch.save(torch.from_numpy(values), root / f"subj01_{split}_fmri.pt")
