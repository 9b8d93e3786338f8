"""The contents of a pipeline's page: an experiment's artifacts, opened and put in order."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py

from brainflix.artifacts.store import open_artifact, read_strings
from brainflix.clips.clips import Reconciled
from brainflix.clips.store import FrameSource, FrameStore
from brainflix.errors import ArtifactError
from brainflix.evaluation.clip_table import read_parquet
from brainflix.evaluation.results import Results, read_results
from brainflix.evaluation.wording import count
from brainflix.generation.movies import safe_name
from brainflix.report.contents import SHOWN, Contents, SubjectGallery, address
from brainflix.report.drawing.voxels import read_voxels

SYSTEMS = ("network", "ridge", "shuffled", "oracle")  # in the order shown


@dataclass(frozen=True)
class ShownStudy:
    """The clips of one study, as a page needs them."""

    place: dict[str, int]
    captions: dict[str, str]
    duration: float
    path: Path

    def frames(self, ids: tuple[str, ...]) -> FrameSource:
        """Return some clips, uint8 (clip, frame, height, width, 3), read when indexed."""
        missing = [name for name in ids if name not in self.place]
        if missing:
            raise ArtifactError(
                "a reconstructed clip is not among the stimuli",
                expected="a clip of this study",
                found=missing[0],
                where=self.path,
            )
        with open_artifact(self.path, "stimuli") as file:
            return FrameStore.open(file["frames"], [self.place[name] for name in ids])


def read_contents(
    experiment: str,
    configuration: dict[str, Any],
    artifacts: Mapping[str, Path],
    page: Path,
) -> Contents:
    """Open an experiment's artifacts.

    Parameters
    ----------
    experiment : str
        Its name.
    configuration : dict
        What was run.
    artifacts : mapping of str to Path
        "metrics", "clips", "predictions", "shared", "stimuli/STUDY", "voxels/STUDY/SUBJECT",
        "videos/STUDY/SUBJECT" to files.
    page : Path
        Where the page will be, which its links are relative to.

    Raises
    ------
    ArtifactError
        When one of the first two or a study's stimuli is missing.
    """
    named = _by_kind(artifacts)
    for needed in ("metrics", "clips"):
        if needed not in artifacts:
            raise ArtifactError("the report lacks an artifact", expected=needed, found=[*artifacts])
    videos = named.get("videos", {})
    studies = {study: _read_study(path) for study, path in named.get("stimuli", {}).items()}
    missing = sorted({name.partition("/")[0] for name in videos} - set(studies))
    if missing:
        raise ArtifactError(
            "the report lacks an artifact", expected=f"stimuli/{missing[0]}", found=[*artifacts]
        )
    results = read_results(artifacts["metrics"], read_parquet(artifacts["clips"]))
    order = [name for name in videos if name in results.subjects]
    results = replace(results, subjects={name: results.subjects[name] for name in order})
    return Contents(
        kicker="brainflix report",
        title=experiment,
        lede=_lede(results, configuration),
        results=results,
        galleries=tuple(
            _gallery(name, path, studies[name.partition("/")[0]], page)
            for name, path in videos.items()
            if name in results.subjects
        ),
        links={
            "all numbers (JSON)": address(artifacts["metrics"], page),
            "scores of single clips (Parquet)": address(artifacts["clips"], page),
        },
        configuration=configuration,
        voxels={name: read_voxels(path) for name, path in named.get("voxels", {}).items()},
        histories={
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


def _read_study(path: Path) -> ShownStudy:
    with open_artifact(path, "stimuli") as file:
        ids = read_strings(file["clip"])
        captions = [json.loads(text) for text in read_strings(file["captions"])]
        duration = float(file.attrs["duration"])
    return ShownStudy(
        {name: k for k, name in enumerate(ids)},
        {name: texts[0] if texts else "" for name, texts in zip(ids, captions, strict=True)},
        duration,
        path,
    )


def _gallery(name: str, path: Path, study: ShownStudy, page: Path) -> SubjectGallery:
    with open_artifact(path, "videos") as file:
        ids = tuple(read_strings(file["clip"]))
        found = {key: _store(file["frames"][key]) for key in sorted(file["frames"])}
    true = study.frames(ids)
    order = [*(s for s in SYSTEMS if s in found), *sorted(set(found) - {*SYSTEMS})]
    movies = {clip: path.with_suffix("") / f"{safe_name(clip)}.mp4" for clip in ids}
    return SubjectGallery(
        name=name,
        ids=ids,
        frames={SHOWN: true} | {s: Reconciled(found[s], true.shape[1:]) for s in order},
        seconds=study.duration,
        captions={clip: study.captions[clip] for clip in ids},
        files={clip: address(movie, page) for clip, movie in movies.items() if movie.is_file()},
    )


def _store(dataset: h5py.Dataset) -> FrameSource:
    return FrameStore.open(dataset)


def _lede(results: Results, configuration: Mapping[str, Any]) -> str:
    """Return a sentence that says what was done."""
    studies = dict.fromkeys(name.partition("/")[0] for name in results.subjects)
    parts = []
    for study in studies:
        subjects = sum(name.startswith(f"{study}/") for name in results.subjects)
        audit = results.audit.get(study)
        clips = f" ({audit.split.test_clips} test clips)" if audit and audit.split else ""
        parts.append(f"{count(subjects, 'subject')} of {study}{clips}")
    recipe = configuration.get("recipe")
    how = f" by the recipe {recipe}" if recipe else ""
    return (
        f"Videos reconstructed from fMRI{how}, next to the videos that were shown: "
        f"{', '.join(parts)}. Predictions for a clip's repeats are averaged within a subject."
    )
