"""HAD (ds004488) written as it lies on disk: events, ciftify's series and betas, prepared arrays.

Names, axes and types are the published ones: events that count from the first clip 12 s into the
run, ciftify's unpadded run numbers, betas sorted by action. Actions, and with them clips and
volumes, are fewer.
"""

from __future__ import annotations

import pickle
import zlib
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from support.layouts.cc2017 import grayordinates, write_cifti_run
from support.studies_on_disk import write_tsv, write_video

LEAD_IN, SPACING, TR = 12.0, 4.0, 2.0
ACTIONS = ("Applying_sunscreen", "Archery", "Arm_wrestling", "BMX", "Baking_cookies", "Zumba")


@dataclass(frozen=True)
class Size:
    """How much of the study is written; published are 180 actions and 30 subjects."""

    actions: int = 18
    subjects: int = 2
    voxels: int = 24
    noise: float = 0.5

    @property
    def labels(self) -> list[str]:
        """The names of the actions."""
        return [f"{ACTIONS[k % len(ACTIONS)]}_{k}" for k in range(self.actions)]

    @property
    def names(self) -> list[str]:
        """The subjects."""
        return [f"sub-{k:02d}" for k in range(1, self.subjects + 1)]

    def shown(self, subject: str) -> list[list[str]]:
        """Return the stim_file of each event of each of the twelve runs."""
        runs = []
        for cycle in range(4):
            order = seeded("order", subject, cycle).permutation(self.actions)
            for part in np.array_split(order, 3):
                runs.append([self.file(subject, int(k), cycle) for k in part])
        return runs

    def file(self, subject: str, action: int, cycle: int) -> str:
        """Return the clip of an action that a subject saw in a cycle."""
        name = f"v_{action:03d}_{subject[4:]}x{cycle}_start_{cycle}.5_label_1.mp4"
        return f"{self.labels[action]}/{name}"


def seeded(*names: object) -> np.random.Generator:
    """Return a generator that depends on names alone."""
    return np.random.default_rng(zlib.crc32(repr(names).encode()))


def flat(runs: list[list[str]]) -> list[str]:
    """Return the files of several runs in one list."""
    return [file for run in runs for file in run]


def drive(file: str, size: Size) -> np.ndarray:
    """Return what a clip does to each voxel, (voxel,): two thirds respond."""
    values = seeded("had", Path(file).name).standard_normal(size.voxels)
    values[2 * size.voxels // 3 :] = 0.0
    return values


def write_events(root: Path, size: Size, videos: bool = True) -> None:
    """Write the raw tables of events, and the clips."""
    columns = ("onset", "duration", "trial_type", "response_time", "stim_file", "response")
    for subject in size.names:
        for number, files in enumerate(size.shown(subject), start=1):
            stem = f"{subject}_ses-action01_task-action_run-{number:02d}"
            rows = [
                (f"{SPACING * k:g}", "2.0", size.labels.index(file.split("/")[0]) + 1, 0.7, file, 1)
                for k, file in enumerate(files)
            ]
            write_tsv(root / subject / "ses-action01/func" / f"{stem}_events.tsv", columns, rows)
            for file in files if videos else ():
                write_video(root / "stimuli" / file, 2.0, zlib.crc32(file.encode()), 4, 32)


def run_rows(subject: str, number: int, size: Size) -> np.ndarray:
    """Return a run's values, float32 (volume, voxel)."""
    files = size.shown(subject)[number - 1]
    n_volumes = int((LEAD_IN + SPACING * len(files) + 12) / TR)
    rows = size.noise * seeded("rows", subject, number).standard_normal((n_volumes, size.voxels))
    for k, file in enumerate(files):
        rows[round((LEAD_IN + SPACING * k + 4) / TR)] += drive(file, size)
    return (500 + 10 * rows).astype(np.float32)


def write_ciftify(root: Path, size: Size) -> None:
    """Write ciftify's time series."""
    for subject in size.names:
        folder = root / "derivatives/ciftify" / subject / "results"
        for number in range(1, 13):
            name = f"ses-action01_task-action_run-{number}_Atlas.dtseries.nii"
            write_cifti_run(folder / name, run_rows(subject, number, size), TR)


def write_fmriprep(root: Path, size: Size) -> None:
    """Write fMRIPrep's time series, with padded run numbers."""
    for subject in size.names:
        folder = root / "derivatives/fmriprep" / subject / "ses-action01/func"
        for number in range(1, 13):
            stem = f"{subject}_ses-action01_task-action_run-{number:02d}"
            name = f"{stem}_space-fsLR_den-91k_bold.dtseries.nii"
            write_cifti_run(folder / name, run_rows(subject, number, size), TR)


def beta(file: str, size: Size) -> np.ndarray:
    """Return the estimated response to a clip, float32 (voxel,)."""
    noise = size.noise * seeded("beta", file).standard_normal(size.voxels)
    return (drive(file, size) + noise).astype(np.float32)


def write_cycles(root: Path, size: Size) -> None:
    """Write the published betas: one dscalar per cycle, sorted by action, and its labels."""
    for subject in size.names:
        folder = root / "derivatives/ciftify" / subject / "results"
        folder.mkdir(parents=True, exist_ok=True)
        runs = size.shown(subject)
        for cycle in range(4):
            files = flat(runs[3 * cycle : 3 * cycle + 3])
            files.sort(key=lambda file: Path(file).name.split("_")[1])
            names = [Path(file).name for file in files]
            values = np.stack([beta(file, size) for file in files])
            models = grayordinates(size.voxels)[: size.voxels]
            axes = (nib.cifti2.ScalarAxis(names), models)
            stem = f"ses-action01_task-action_cycle-{cycle + 1}"
            nib.save(nib.Cifti2Image(values, axes), folder / f"{stem}_beta.dscalar.nii")
            (folder / f"{stem}_label.txt").write_text("\n".join(names) + "\n")


def write_pairs(root: Path, size: Size) -> None:
    """Write GLMsingle's betas as a pair a split."""
    for subject in size.names:
        folder = root / "derivatives/GLM" / subject / "prepared_betas"
        folder.mkdir(parents=True)
        runs = size.shown(subject)
        for split, files in (("train", flat(runs[:9])), ("test", flat(runs[9:]))):
            values = np.stack([beta(file, size) for file in files])[:, None].astype(np.float64)
            content = (values, [Path(file).name for file in files])
            path = folder / f"{subject}_organized_betas_task-{split}_normalized.pkl"
            path.write_bytes(pickle.dumps(content, protocol=pickle.HIGHEST_PROTOCOL))


def write_dictionaries(root: Path, size: Size) -> None:
    """Write all trials of a region as one dictionary, in the order of recording."""
    for subject in size.names:
        folder = root / subject / "prepared_allvoxel_pkl"
        folder.mkdir(parents=True)
        files = flat(size.shown(subject))
        content = {
            "data_allvoxel": np.stack([beta(file, size) for file in files])[:, None],
            "stim_order": [Path(file).stem for file in files],
        }
        path = folder / "Group41_betas-GLMsingle_type-typeb_z=1.pkl"
        path.write_bytes(pickle.dumps(content, protocol=pickle.HIGHEST_PROTOCOL))
