"""MOSAIC, small, as its preprocessing writes it: one dataset per trial, attributes, some NaN."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from PIL import Image

from support.studies_on_disk import write_video

VERTICES = 30
TRAIN = [f"{k:04d}" for k in range(1, 9)]
TEST = ["1001", "1002"]


def write_stimuli(root: Path, videos: bool = True) -> None:
    """Write videos and one picture in folders below stimuli/."""
    for number, name in enumerate([*TRAIN, *TEST]):
        folder = root / "stimuli" / ("test" if name in TEST else "train")
        folder.mkdir(parents=True, exist_ok=True)
        if name == TRAIN[-1] or not videos:
            Image.fromarray(np.full((16, 16, 3), 9 * number, np.uint8)).save(folder / f"{name}.jpg")
        else:
            write_video(folder / f"{name}.mp4", 3.0, seed=number)


def write_trials(group: h5py.Group, subject: str, study: str, seed: int, phases: dict) -> dict:
    """Write betas that follow the stimulus; return them by name of stimulus (repeat, vertex)."""
    rng = np.random.default_rng(seed)
    betas = group.create_group("betas", track_order=True)
    truth: dict = {}
    for phase, (names, repeats) in phases.items():
        for name in names:
            drive = np.random.default_rng(int(name)).standard_normal(VERTICES)
            for repeat in range(repeats):
                values = drive + 0.3 * rng.standard_normal(VERTICES)
                values[[2, 17]] = np.nan
                trial = betas.create_dataset(
                    f"{subject}_{study}_stimulus-{name}_phase-{phase}_rep-{repeat}", data=values
                )
                trial.attrs.update(
                    nan_indices=[2, 17],
                    phase=phase,
                    repetition=repeat,
                    presented_stimulus_filename=f"{name}.mp4",
                )
                truth.setdefault(name, []).append(values)
    ceilings = group.create_group("noiseceilings", track_order=True)
    ceilings.create_dataset(f"{subject}_{study}_phase-test_n-1", data=np.zeros(VERTICES))
    group.attrs.update(dataset_name="BOLDMomentsDataset", subjectID=subject, age=25)
    return truth


def write_study(root: Path, videos: bool = True, overlap: bool = False) -> dict:
    """Write two subjects of one study, one of them with a checksum in its name."""
    write_stimuli(root, videos)
    truth = {}
    for number, tail in ((1, ""), (2, "_crc32-32353cf9")):
        subject = f"sub-{number:02d}"
        train = [*TRAIN, TEST[0]] if overlap and number == 2 else TRAIN
        test = TEST[1:] if overlap and number == 2 else TEST
        phases = {"train": (train, 2), "test": (test, 5)}
        with h5py.File(root / f"{subject}_BMD{tail}.hdf5", "w") as file:
            truth[f"{subject}_BMD"] = write_trials(file, subject, "BMD", number, phases)
    return truth
