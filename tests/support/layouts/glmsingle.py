"""Output folders of GLMsingle, small: each of its formats, with and without a grid."""

from __future__ import annotations

from pathlib import Path

import h5py
import nibabel as nib
import numpy as np

from support.studies_on_disk import write_tsv, write_video

MODEL = "TYPED_FITHRF_GLMDENOISE_RR"
SHAPE = (4, 3, 2)
TRAIN = [f"train{k:02d}" for k in range(8)]
TEST = [f"test{k:02d}" for k in range(2)]


def shown(seed: int, train_repeats: int = 2, test_repeats: int = 4) -> list[str]:
    """Return the clip of each trial, in the order of recording."""
    trials = TRAIN * train_repeats + TEST * test_repeats
    return [trials[k] for k in np.random.default_rng(seed).permutation(len(trials))]


def write_stimuli(root: Path, videos: bool = True) -> None:
    """Write stimuli.tsv and the clips."""
    rows = []
    for number, clip in enumerate(TRAIN + TEST):
        split = "train" if clip in TRAIN else "test"
        rows.append((clip, f"{clip}.mp4", split, f'["clip {number}"]', number))
        path = root / "stimuli" / f"{clip}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        if videos:
            write_video(path, 1.0, seed=number)
        else:
            path.touch()
    write_tsv(root / "stimuli.tsv", ("clip", "stim_file", "split", "captions", "condition"), rows)


def betas(clips: list[str], seed: int) -> np.ndarray:
    """Return betas (x, y, z, trial) that follow the clip; NaN outside of the brain."""
    rng = np.random.default_rng(seed)
    drive = {
        clip: np.random.default_rng(k).standard_normal(SHAPE) for k, clip in enumerate(TRAIN + TEST)
    }
    values = np.stack([drive[clip] for clip in clips], axis=-1)
    values = (values + 0.3 * rng.standard_normal(values.shape)).astype(np.float32)
    values[0, 0, :] = np.nan
    return values


def write_fit(
    folder: Path,
    values: np.ndarray,
    clips: list[str],
    suffix: str = ".npy",
    table: bool = True,
    design: bool = True,
) -> None:
    """Write one output folder: betas, DESIGNINFO and the table of trials."""
    folder.mkdir(parents=True, exist_ok=True)
    order = [(TRAIN + TEST).index(clip) for clip in clips]
    extra = {"R2": np.zeros(values.shape[:-1], np.float32), "HRFindex": None}
    if suffix == ".npy":
        np.save(folder / f"{MODEL}.npy", {**extra, "betasmd": values}, allow_pickle=True)
        content = {"stimorder": order, "tr": 2.0, "design": [np.eye(3)], "params": {"wantlss": 0}}
        if design:
            np.save(folder / "DESIGNINFO.npy", content, allow_pickle=True)
    elif suffix == ".hdf5":
        with h5py.File(folder / f"{MODEL}.hdf5", "w") as file:
            file["betasmd"] = values
            file.create_dataset("HRFindex", data=h5py.Empty("f"))
        with h5py.File(folder / "DESIGNINFO.hdf5", "w") as file:
            file["stimorder"] = order
    else:  # MATLAB 7.3
        for name, key, content in (
            (MODEL, "modelmd", values),
            ("DESIGNINFO", "stimorder", np.array(order, float)[None] + 1),
        ):
            with h5py.File(folder / f"{name}.mat", "w", userblock_size=512) as file:
                file[key] = content.T
            with open(folder / f"{name}.mat", "r+b") as stream:
                stream.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
    if table:
        rows = [(f"{clip}.mp4", 1 + k // 8) for k, clip in enumerate(clips)]
        write_tsv(folder / "trials.tsv", ("stim_file", "run"), rows)


def write_study(
    root: Path,
    subjects: tuple[str, ...] = ("sub-01", "sub-02"),
    videos: bool = True,
    suffix: str = ".npy",
) -> dict:
    """Write a study of two sessions per subject; return clips and betas (trial, x, y, z)."""
    write_stimuli(root, videos)
    truth = {}
    for number, subject in enumerate(subjects):
        clips, values = [], []
        for session in (1, 2):
            seed = 10 * number + session
            order = shown(seed, train_repeats=1, test_repeats=2)
            found = betas(order, seed)
            write_fit(root / subject / f"ses-{session:02d}", found, order, suffix)
            clips += order
            values.append(np.moveaxis(found, -1, 0))
        truth[subject] = {"clips": clips, "betas": np.concatenate(values)}
    return truth


def write_mask(path: Path) -> np.ndarray:
    """Write a mask on the betas' grid."""
    mask = np.zeros(SHAPE, np.uint8)
    mask[1:3, 1:] = 1
    nib.save(nib.Nifti1Image(mask, np.diag([2.0, 2.0, 2.0, 1.0])), path)
    return mask.astype(bool)
