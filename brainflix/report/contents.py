"""What a report is made of: an experiment's artifacts, read and put in order."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainflix.artifacts.store import open_artifact, read_json, read_strings
from brainflix.artifacts.videos import read_videos
from brainflix.errors import ArtifactError
from brainflix.report.drawing.voxels import VoxelSummary, read_voxels

Frames = NDArray[np.uint8]
VARIANTS = ("network", "ridge", "shuffled", "oracle")  # in the order shown


@dataclass(frozen=True)
class Stimuli:
    """The clips of one study, as a report needs them.

    Attributes
    ----------
    place : dict of str to int
        A clip's row in ``frames``.
    captions : dict of str to str
        A clip's first caption, empty where it has none.
    duration : float
        Of a clip, in s.
    path : Path
        The artifact; frames are read when they are shown.
    """

    place: dict[str, int]
    captions: dict[str, str]
    duration: float
    path: Path

    def frames(self, ids: tuple[str, ...]) -> Frames:
        """Return some clips, uint8 (clip, frame, height, width, 3)."""
        missing = [name for name in ids if name not in self.place]
        if missing:
            raise ArtifactError(
                "a reconstructed clip is not among the stimuli",
                expected="a clip of this study",
                found=missing[0],
                where=self.path,
            )
        with open_artifact(self.path, "stimuli") as file:
            return np.stack([file["frames"][self.place[name]] for name in ids])


@dataclass(frozen=True)
class Contents:
    """Everything the page shows.

    Attributes
    ----------
    experiment : str
    configuration : dict
        What was run, as :meth:`brainflix.config.experiment.Config.described` returns it.
    metrics : dict
        metrics.json.
    table : pandas.DataFrame
        clips.parquet.
    stimuli : dict of str to Stimuli
        By study.
    voxels : dict of str to VoxelSummary
        By ``study/subject``.
    videos : dict of str to Path
        By ``study/subject``.
    folders : dict of str to Path
        Stage to the folder that holds its training curves.
    artifacts : dict of str to Path
        All files, by the name that the workflow gives them.
    """

    experiment: str
    configuration: dict[str, Any]
    metrics: dict[str, Any]
    table: Any
    stimuli: dict[str, Stimuli]
    voxels: dict[str, VoxelSummary]
    videos: dict[str, Path]
    folders: dict[str, Path]
    artifacts: dict[str, Path]

    @property
    def subjects(self) -> list[str]:
        """``study/subject``, in the order in which the videos were given."""
        return [name for name in self.videos if name in self.metrics["subjects"]]

    @property
    def metric_names(self) -> list[str]:
        """Every metric that some subject has, in the order of the evaluation's configuration."""
        found = dict.fromkeys(
            name for entry in self.metrics["subjects"].values() for name in entry["metrics"]
        )
        order = {name: k for k, name in enumerate(_ORDER)}
        return sorted(found, key=lambda name: (order.get(name, len(order)), name))

    def entries(self, metric: str) -> list[tuple[str, Mapping[str, Any]]]:
        """Return each subject's entry of one metric."""
        subjects = self.metrics["subjects"]
        return [
            (name, subjects[name]["metrics"][metric])
            for name in self.subjects
            if metric in subjects[name]["metrics"]
        ]

    def scores(self, name: str, metric: str, ids: tuple[str, ...]) -> NDArray[np.float64] | None:
        """Return the network's score of each clip, or None where there are none."""
        study, _, subject = name.partition("/")
        table = self.table
        rows = table[
            (table["study"] == study)
            & (table["subject"] == subject)
            & (table["metric"] == metric)
            & (table["variant"] == "network")
        ]
        values = dict(zip(rows["clip"], rows["value"], strict=True))
        if not set(ids) <= set(values):
            return None
        return np.array([values[clip] for clip in ids], dtype=np.float64)


_ORDER = (
    "identification@clip",
    "attribute@object",
    "attribute@colour",
    "attribute@background",
    "attribute@motion",
    "identification@pixel",
    "ssim@rgb",
    "psnr",
)


def read_contents(
    experiment: str, configuration: dict[str, Any], artifacts: dict[str, Path]
) -> Contents:
    """Read an experiment's artifacts.

    Parameters
    ----------
    experiment : str
        Its name.
    configuration : dict
        What was run.
    artifacts : dict of str to Path
        "metrics", "clips", "predictions", "shared", "stimuli/STUDY", "voxels/STUDY/SUBJECT",
        "videos/STUDY/SUBJECT" to files.

    Raises
    ------
    ArtifactError
        When one of the first two or a study's stimuli is missing.
    """
    import pandas as pd

    named = _by_kind(artifacts)
    for needed in ("metrics", "clips"):
        if needed not in artifacts:
            raise ArtifactError("the report lacks an artifact", expected=needed, found=[*artifacts])
    stimuli = {study: _read_stimuli(path) for study, path in named.get("stimuli", {}).items()}
    videos = named.get("videos", {})
    missing = sorted({name.partition("/")[0] for name in videos} - set(stimuli))
    if missing:
        raise ArtifactError(
            "the report lacks an artifact", expected=f"stimuli/{missing[0]}", found=[*artifacts]
        )
    if not artifacts["clips"].is_file():
        raise ArtifactError("no table of scores", expected="a file", where=artifacts["clips"])
    return Contents(
        experiment=experiment,
        configuration=configuration,
        metrics=read_json(artifacts["metrics"]),
        table=pd.read_parquet(artifacts["clips"]),
        stimuli=stimuli,
        voxels={name: read_voxels(path) for name, path in named.get("voxels", {}).items()},
        videos=videos,
        folders={
            stage: artifacts[name].parent
            for stage, name in (("alignment", "shared"), ("regression", "predictions"))
            if name in artifacts
        },
        artifacts=artifacts,
    )


def _by_kind(artifacts: Mapping[str, Path]) -> dict[str, dict[str, Path]]:
    """Sort ``KIND/NAME`` by kind."""
    kinds: dict[str, dict[str, Path]] = {}
    for name, path in artifacts.items():
        kind, slash, rest = name.partition("/")
        if slash:
            kinds.setdefault(kind, {})[rest] = path
    return kinds


def _read_stimuli(path: Path) -> Stimuli:
    with open_artifact(path, "stimuli") as file:
        ids = read_strings(file["clip"])
        captions = [json.loads(text) for text in read_strings(file["captions"])]
        duration = float(file.attrs["duration"])
    return Stimuli(
        {name: k for k, name in enumerate(ids)},
        {name: texts[0] if texts else "" for name, texts in zip(ids, captions, strict=True)},
        duration,
        path,
    )


def read_variants(path: Path) -> tuple[tuple[str, ...], dict[str, Frames]]:
    """Return a subject's clips and every variant of them, in the order shown."""
    ids, variants = read_videos(path)
    known = [name for name in VARIANTS if name in variants]
    return ids, {name: variants[name] for name in [*known, *sorted(set(variants) - set(known))]}
