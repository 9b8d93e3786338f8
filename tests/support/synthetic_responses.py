"""A small cohort with a linear truth: responses, targets and stimuli of unequal subjects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from brainflix.artifacts.store import create, write_dataset
from brainflix.artifacts.voxels import write_space
from brainflix.formats.voxel_space import VoxelSpace
from support.edited_artifacts import edited

SUBJECTS = {"movie/sub-01": 40, "movie/sub-02": 55, "events/sub-01": 33}
SHAPES = {"clip_image": (10,), "latents": (4, 2, 3, 2)}
FACTORS = 6


@dataclass
class SyntheticCohort:
    """Paths of a cohort's artifacts, by the names that the stages take."""

    root: Path
    responses: dict[str, Path] = field(default_factory=dict)
    targets: dict[str, dict[str, Path]] = field(default_factory=dict)
    stimuli: dict[str, Path] = field(default_factory=dict)
    voxels: dict[str, Path] = field(default_factory=dict)

    def target(self, name: str) -> dict[str, Path]:
        """Return one target's artifact a study."""
        return {study: paths[name] for study, paths in self.targets.items()}


def make_cohort(
    root: Path,
    subjects: Mapping[str, int] | None = None,
    train: int = 60,
    test: int = 12,
    groups: int = 6,
    repeats: tuple[int, int] = (2, 4),
    window: int = 2,
    noise: float = 1.0,
    seed: int = 0,
) -> SyntheticCohort:
    """Write a cohort whose targets and responses are linear in the same few factors of a clip.

    Parameters
    ----------
    root : Path
        The results folder.
    subjects : mapping of str to int
        "study/subject" to its number of voxels.
    train, test : int
        Clips a study; the training clips lie in ``groups`` groups.
    groups : int
        Training groups.
    repeats : tuple of int
        Of training and of test clips. Movie subjects after the first lack one training run.
    window : int
        Volumes a response.
    noise : float
        Deviation of a voxel's noise; its signal has deviation 1.
    seed : int
        Of everything.
    """
    cohort = SyntheticCohort(root)
    subjects = SUBJECTS if subjects is None else subjects
    maps = np.random.default_rng(seed)
    weights = {name: maps.normal(size=(FACTORS, np.prod(s))) for name, s in SHAPES.items()}
    for number, study in enumerate(dict.fromkeys(name.partition("/")[0] for name in subjects)):
        rng = np.random.default_rng([seed, number])
        factors = rng.normal(size=(train + test, FACTORS))
        ids = [f"{study}-{k:03d}" for k in range(train + test)]
        _write_stimuli(cohort, study, ids, train, groups)
        for name, shape in SHAPES.items():
            _write_target(cohort, study, name, ids, factors @ weights[name], shape)
        members = [name for name in subjects if name.startswith(f"{study}/")]
        for place, subject in enumerate(members):
            gains = rng.normal(size=(window, FACTORS, subjects[subject])) / np.sqrt(FACTORS)
            split = np.array(["train"] * train + ["test"] * test)
            trials = [
                (clip, repeat)
                for part, count in (("train", repeats[0]), ("test", repeats[1]))
                for repeat in range(count)
                for clip in np.flatnonzero(split == part)
                if not (place and part == "train" and repeat == 1 and clip < train // groups)
            ]
            _write_responses(cohort, subject, ids, split, factors, gains, trials, noise, rng)
    return cohort


def _write_stimuli(
    cohort: SyntheticCohort, study: str, ids: list[str], train: int, groups: int
) -> None:
    path = cohort.root / study / "stimuli.h5"
    size = -(-train // groups)
    with create(path, "stimuli") as file:
        write_dataset(file, "clip", ids, ["clip"])
        test = len(ids) - train
        write_dataset(file, "split", ["train"] * train + ["test"] * test, ["clip"])
        names = [f"seg{k // size:02d}" for k in range(train)] + ["testseg"] * test
        write_dataset(file, "group", names, ["clip"])
    cohort.stimuli[study] = path


def _write_target(
    cohort: SyntheticCohort,
    study: str,
    name: str,
    ids: list[str],
    flat: np.ndarray,
    shape: tuple[int, ...],
) -> None:
    path = cohort.root / study / "targets" / f"{name}.h5"
    values = 3.0 + 2.0 * flat.reshape(len(ids), *shape)
    if name == "latents":
        values[:, 0, 0, 0, 0] = 7.0  # a dimension that never changes
    with create(path, "target") as file:
        dims = ["clip", *(f"axis{k}" for k in range(len(shape)))]
        write_dataset(file, "values", values.astype(np.float32), dims)
        write_dataset(file, "clip", ids, ["clip"])
    cohort.targets.setdefault(study, {})[name] = path


def _write_responses(
    cohort: SyntheticCohort,
    subject: str,
    ids: list[str],
    split: np.ndarray,
    factors: np.ndarray,
    gains: np.ndarray,
    trials: list[tuple[int, int]],
    noise: float,
    rng: np.random.Generator,
) -> None:
    clips = np.array([clip for clip, _ in trials])
    signal = np.einsum("cf,wfv->cwv", factors, gains)[clips]  # (trial, window, voxel)
    responses = signal + noise * rng.normal(size=signal.shape)
    path = cohort.root / subject / "responses.h5"
    with create(path, "responses") as file:
        dims = ["trial", "window", "voxel"]
        write_dataset(file, "responses", responses.astype(np.float32), dims)
        write_dataset(file, "clip", [ids[clip] for clip in clips], ["trial"])
        write_dataset(file, "repeat", [repeat for _, repeat in trials], ["trial"])
        runs = [f"{split[clip]}-{clip // 10:02d}-{repeat}" for clip, repeat in trials]
        write_dataset(file, "run", runs, ["trial"])
        write_dataset(file, "split", split[clips], ["trial"])
        # every other voxel of a column was selected
        write_dataset(file, "voxel", 2 * np.arange(responses.shape[2]), ["voxel"])
    cohort.responses[subject] = path
    _write_voxels(cohort, subject, 2 * responses.shape[2])


def _write_voxels(cohort: SyntheticCohort, subject: str, count: int) -> None:
    path = cohort.root / subject / "voxels.h5"
    places = np.stack([np.zeros(count), np.zeros(count), np.arange(count)], axis=1)
    with create(path, "voxels") as file:
        write_space(file, VoxelSpace(places.astype(np.int32), (1, 1, count), np.eye(4), "T1w"))
    cohort.voxels[subject] = path


def change_responses(path: Path, split: str, change: float) -> None:
    """Multiply the responses of one split in place by a factor, the rest untouched."""
    with edited(path) as file:
        rows = np.array(file["split"].asstr()[()]) == split
        values = file["responses"][()]
        values[rows] = values[rows] * change + 1.0
        file["responses"][...] = values


def change_targets(path: Path, stimuli: Path, split: str, change: float) -> None:
    """Multiply the targets of one split's clips in place by a factor."""
    with h5py.File(stimuli) as file:
        rows = np.array(file["split"].asstr()[()]) == split
    with edited(path) as file:
        values = file["values"][()]
        values[rows] = values[rows] * change
        file["values"][...] = values
