"""A small experiment's artifacts, made up: rendered clips, damaged ones as reconstructions."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from brainflix.artifacts.store import create, write_dataset, write_json
from brainflix.simulation import world

TARGETS = {"clip_image": (12,), "conditioning": (4, 6), "latents": (4, 8, 2, 2)}


@dataclass
class FakeExperiment:
    """Paths of an experiment's artifacts."""

    root: Path
    experiment: str = "demo"
    stimuli: dict[str, Path] = field(default_factory=dict)
    targets: dict[str, dict[str, Path]] = field(default_factory=dict)
    voxels: dict[str, Path] = field(default_factory=dict)
    videos: dict[str, Path] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return self.root / self.experiment

    @property
    def predictions(self) -> Path:
        return self.folder / "regression" / "predictions.h5"


def make_experiment(
    root: Path,
    subjects: dict[str, int] | None = None,
    clips: tuple[int, int] = (12, 6),
    size: int = 64,
    noise: float = 1.0,
    experiment: str = "demo",
) -> FakeExperiment:
    """Write the artifacts that evaluation and report read.

    Parameters
    ----------
    root : Path
        The results folder.
    subjects : dict of str to int
        Study to its number of subjects.
    clips : tuple of int
        Training and test clips of each study.
    size : int
        Pixels a side.
    noise : float
        Of the predicted vectors; 0 is perfect.
    experiment : str
        Its name.
    """
    fake = FakeExperiment(root, experiment)
    for number, (study, count) in enumerate((subjects or {"movie": 2, "events": 1}).items()):
        rng = np.random.default_rng(100 + number)
        scenes = world.sample_scenes(sum(clips), rng)
        split = np.repeat(["train", "test"], clips)
        ids = [f"{s}-{k:03d}" for k, s in enumerate(split)]
        _write_stimuli(fake, study, scenes, ids, split, size)
        _write_targets(fake, study, ids, rng)
        for k in range(count):
            name = f"{study}/sub-{k + 1:02d}"
            test = [s for s, part in zip(scenes, split, strict=True) if part == "test"]
            _write_videos(fake, name, test, ids[clips[0] :], rng, size)
            _write_voxels(fake, name, rng)
    _write_predictions(fake, noise)
    return fake


def _write_stimuli(
    fake: FakeExperiment,
    study: str,
    scenes: list[world.Scene],
    ids: list[str],
    split: np.ndarray,
    size: int,
) -> None:
    path = fake.root / study / "stimuli.h5"
    frames = np.stack([world.render(scene, size=size) for scene in scenes])
    with create(path, "stimuli") as file:
        write_dataset(file, "frames", frames, ["clip", "frame", "height", "width", "channel"])
        write_dataset(file, "clip", ids, ["clip"])
        captions = [json.dumps(world.captions(scene, 2)) for scene in scenes]
        write_dataset(file, "captions", captions, ["clip"])
        write_dataset(file, "split", split, ["clip"])
        groups = ["testrun" if s == "test" else f"run{k % 3}" for k, s in enumerate(split)]
        write_dataset(file, "group", groups, ["clip"])
        for name in world.ATTRIBUTES:
            labels = [scene.attributes()[name] for scene in scenes]
            write_dataset(file, f"attributes/{name}", labels, ["clip"])
        file.attrs["fps"], file.attrs["duration"] = 4.0, 2.0
    fake.stimuli[study] = path


def _write_targets(
    fake: FakeExperiment, study: str, ids: list[str], rng: np.random.Generator
) -> None:
    for target, shape in TARGETS.items():
        path = fake.root / study / "targets" / f"{target}.h5"
        with create(path, "target") as file:
            values = rng.normal(size=(len(ids), *shape)).astype(np.float32)
            dims = ["clip", *(f"axis{k}" for k in range(len(shape)))]
            write_dataset(file, "values", values, dims)
            write_dataset(file, "clip", ids, ["clip"])
        fake.targets.setdefault(study, {})[target] = path


def _reconstruct(
    scene: world.Scene, right: float, rng: np.random.Generator, size: int
) -> np.ndarray:
    """Render a scene in which each attribute is right with some probability, blurred."""
    changes = {
        name: world.LABELS[name][rng.integers(len(world.LABELS[name]))]
        for name in world.ATTRIBUTES
        if rng.random() > right
    }
    shifts = {"x": scene.x + rng.normal() * 3, "y": scene.y + rng.normal() * 3}
    clip = world.render(replace(scene, **changes, **shifts), size=size).astype(np.float64)
    for axis in (1, 2):
        clip = (np.roll(clip, 1, axis) + 2 * clip + np.roll(clip, -1, axis)) / 4
    return np.clip(np.rint(clip), 0, 255).astype(np.uint8)


def _write_videos(
    fake: FakeExperiment,
    name: str,
    scenes: list[world.Scene],
    ids: list[str],
    rng: np.random.Generator,
    size: int,
) -> None:
    path = fake.folder / "videos" / f"{name}.h5"
    frames = {
        variant: np.stack([_reconstruct(scene, right, rng, size) for scene in scenes])
        for variant, right in (("network", 0.8), ("ridge", 0.55), ("oracle", 0.97))
    }
    frames["shuffled"] = np.roll(frames["network"], 1, axis=0)
    with create(path, "videos") as file:
        write_dataset(file, "clip", ids, ["clip"])
        for variant, values in frames.items():
            dims = ["clip", "frame", "height", "width", "channel"]
            write_dataset(file, f"frames/{variant}", values, dims)
        file.attrs["fps"], file.attrs["duration"] = 4.0, 2.0
    fake.videos[name] = path


def _write_voxels(fake: FakeExperiment, name: str, rng: np.random.Generator) -> None:
    """Write a ball of voxels of which the back ones respond."""
    path = fake.root / f"{name}" / "voxels.h5"
    shape = (16, 18, 12)
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1)
    inside = (((grid - np.array(shape) / 2) / (np.array(shape) / 2.2)) ** 2).sum(axis=-1) < 1
    position = grid[inside]
    visual = position[:, 1] < 7
    r = np.where(visual, 0.2, 0.0) + rng.normal(size=len(position)) * 0.06
    t = r * 25
    with create(path, "voxels") as file:
        file.attrs.update(
            subject=name.partition("/")[2],
            shape=np.array(shape),
            space="T1w",
            affine=np.diag([3.0, 3, 3, 1]),
            threshold=2.4,
            dof=17,
            correction="fdr",
            alpha=0.01,
            n_selected=int((t > 2.4).sum()),
            n_tested=len(t),
            unit="sets of clips",
        )
        write_dataset(file, "position", position.astype(np.int32), ["voxel", "axis"])
        for key, values in {
            "t": t,
            "p": np.exp(-np.abs(t)),
            "reproducibility": r,
            "noise_ceiling": np.sqrt(np.clip(r, 0, 1)),
            "selected": t > 2.4,
        }.items():
            write_dataset(file, key, values, ["voxel"])
    fake.voxels[name] = path


def write_training(fake: FakeExperiment, separate: bool = False) -> dict[str, Path]:
    """Write training histories, and return the artifacts that a report reads, by name."""
    names = [*fake.videos]
    models = {name.replace("/", "_"): [name] for name in names} if separate else {"best": names}
    for stage, quantities in (
        ("alignment", ("loss", "retrieval")),
        ("regression", ("loss", *TARGETS)),
    ):
        content = {}
        for model, members in models.items():
            curves = {"train_loss": _falling(1.0, start=None), "validation_loss": _falling(1.2)}
            for k, member in enumerate(members):
                for j, quantity in enumerate(quantities):
                    curves[f"validation/{member}/{quantity}"] = _falling(1 + 0.1 * k + 0.3 * j)
            content[model] = {"epochs": list(range(12)), "best": 8, "curves": curves}
        write_json(fake.folder / stage / "history.json", {"models": content})
    shared = fake.folder / "alignment" / "shared.h5"
    with create(shared, "shared"):
        pass
    single = {
        "metrics": fake.folder / "evaluation" / "metrics.json",
        "clips": fake.folder / "evaluation" / "clips.parquet",
        "predictions": fake.predictions,
        "shared": shared,
    }
    many = {"stimuli": fake.stimuli, "voxels": fake.voxels, "videos": fake.videos}
    return single | {
        f"{kind}/{name}": path for kind, named in many.items() for name, path in named.items()
    }


def _falling(scale: float, start: float | None = 3.0) -> list[float | None]:
    return [start, *(scale * (0.4 + float(np.exp(-k / 4))) for k in range(1, 12))]


def _write_predictions(fake: FakeExperiment, noise: float) -> None:
    from brainflix.artifacts.predictions import read_target_rows

    rng = np.random.default_rng(5)
    with create(fake.predictions, "predictions") as file:
        for name, path in fake.videos.items():
            study = name.partition("/")[0]
            ids = _clip_ids(path)
            write_dataset(file, f"{name}/clip", ids, ["clip"])
            write_dataset(file, f"{name}/trial_clip", np.repeat(ids, 2), ["trial"])
            for target, source in fake.targets[study].items():
                true = read_target_rows(source, ids)
                dims = [f"axis{k}" for k in range(1, true.ndim)]
                for estimator, scale in (("network", noise), ("ridge", 3 * noise)):
                    trials = np.repeat(true, 2, axis=0)
                    trials = trials + scale * rng.normal(size=trials.shape).astype(np.float32)
                    mean = trials.reshape(len(ids), 2, *true.shape[1:]).mean(axis=1)
                    place = f"{name}/{estimator}"
                    write_dataset(file, f"{place}/averaged/{target}", mean, ["clip", *dims])
                    write_dataset(file, f"{place}/single/{target}", trials, ["trial", *dims])


def _clip_ids(path: Path) -> list[str]:
    from brainflix.artifacts.store import open_artifact, read_strings

    with open_artifact(path, "videos") as file:
        return read_strings(file["clip"])
