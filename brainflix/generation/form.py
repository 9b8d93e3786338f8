"""What the clips of a study look like, which generators and captioners need to know."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from brainflix.artifacts.store import open_artifact, read_strings


@dataclass(frozen=True)
class ClipForm:
    """What clips of the study look like, and the captions of its training clips.

    Attributes
    ----------
    frames, height, width : int
        Frames of a clip and their size in pixels.
    fps, duration : float
        In Hz and s.
    training_captions : tuple of str
        All captions of all training clips.
    """

    frames: int
    height: int
    width: int
    fps: float
    duration: float
    training_captions: tuple[str, ...]


def read_form(stimuli: Path) -> ClipForm:
    """Read the form of a study's clips from its stimuli artifact."""
    with open_artifact(stimuli, "stimuli") as file:
        frames, height, width = file["frames"].shape[1:4]
        splits, captions = read_strings(file["split"]), read_strings(file["captions"])
        known = [
            text
            for split, texts in zip(splits, captions, strict=True)
            if split == "train"
            for text in json.loads(texts)
        ]
        fps, duration = float(file.attrs["fps"]), float(file.attrs["duration"])
    return ClipForm(frames, height, width, fps, duration, tuple(known))


def film_order(stimuli: Path, clips: Sequence[str]) -> list[int]:
    """Return the clip before each clip in the same film, as an index into ``clips``, or -1.

    Clips of one group follow each other in a film in the order of the study's stimuli.
    """
    with open_artifact(stimuli, "stimuli") as file:
        every, groups = read_strings(file["clip"]), read_strings(file["group"])
    place = {clip: k for k, clip in enumerate(clips)}
    before = [-1] * len(clips)
    last: dict[str, int] = {}
    for clip, group in zip(every, groups, strict=True):
        if clip in place:
            before[place[clip]] = last.get(group, -1)
            last[group] = place[clip]
    return before
