"""The contents of the page of ``brainflix evaluate``: clips from folders, and their results."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePath

from brainflix.clips.store import FrameSource
from brainflix.evaluation.results import ORACLE
from brainflix.evaluation.standalone.files import VideoFileClip
from brainflix.evaluation.standalone.source import AGAINST, RECONSTRUCTED, EvaluatedFolders
from brainflix.evaluation.wording import count
from brainflix.report.contents import SHOWN, Contents, SubjectGallery, address

_LABELS = {"json": "all numbers (JSON)", "csv": "scores of single clips (CSV)"}
_LABELS |= {"parquet": "scores of single clips (Parquet)", "latex": "the table for a paper (LaTeX)"}
_SHORTEST, _LONGEST = 0.5, 10.0  # s that a clip takes to play


def folder_contents(found: EvaluatedFolders, outputs: Mapping[str, Path]) -> Contents:
    """Return what the page of an evaluation shows.

    Parameters
    ----------
    found : EvaluatedFolders
    outputs : mapping of str to Path
        All files that are written, the page under "html".
    """
    page = outputs["html"]
    return Contents(
        kicker="brainflix evaluation",
        title=place_name(found.opened.reconstructed.where),
        lede=_lede(found),
        results=found.results,
        galleries=_galleries(found, page),
        links={_LABELS[k]: address(path, page) for k, path in outputs.items() if k in _LABELS},
    )


def place_name(where: str) -> str:
    """Return the last part of a path, with the dataset's name after it."""
    path, _, dataset = where.partition("::")
    return PurePath(path).name + (f" ({dataset})" if dataset else "")


def _lede(found: EvaluatedFolders) -> str:
    plan, pairs = found.clips.plan, len(found.opened.pairing.pairs)
    subjects = len(found.clips.subjects)
    who = f" of {count(subjects, 'subject')}" if subjects > 1 else ""
    return (
        f"{count(pairs, 'reconstruction')}{who}, next to the true clips in "
        f"“{place_name(found.opened.true.where)}”: {count(plan.frames, 'frame')} of "
        f"{plan.height} × {plan.width} pixels each, matched by the rule "
        f"“{plan.record['frames']['rule']}”."
    )


def _galleries(found: EvaluatedFolders, page: Path) -> tuple[SubjectGallery, ...]:
    seconds = found.clips.plan.record["frames"]["seconds"]["true"]
    time = min(max(seconds[1], _SHORTEST), _LONGEST) if seconds else 2.0
    galleries = []
    for name, each in found.clips.subjects.items():
        frames: dict[str, FrameSource] = {SHOWN: each.true.frames, RECONSTRUCTED: each.predicted}
        frames |= {s: each.others[s] for s in (AGAINST, ORACLE) if s in each.others}
        files = _files(found, name, page)
        galleries.append(SubjectGallery(name, each.true.ids, frames, time, files=files))
    return tuple(galleries)


def _files(found: EvaluatedFolders, subject: str, page: Path) -> dict[str, str]:
    """Return the address of each reconstruction that is a video file of its own."""
    clips = found.opened.reconstructed.clips
    files = {}
    for pair in found.opened.pairing.pairs:
        clip = clips[pair.reconstructed]
        if pair.subject == subject and isinstance(clip, VideoFileClip):
            files[pair.clip] = address(clip.path, page)
    return files
