"""The artifact "videos": reconstructed clips of a subject, by every system of an experiment.

The file calls a system a variant (``frames/network``, ``frames/ridge``, ...); the word is used
nowhere else.
"""

from __future__ import annotations

from pathlib import Path

from brainflix.artifacts.predictions import NETWORK
from brainflix.artifacts.store import open_artifact, read_strings
from brainflix.clips.clips import check_frames
from brainflix.clips.store import Frames
from brainflix.errors import ArtifactError


def read_video_ids(path: Path) -> tuple[str, ...]:
    """Return the names of the reconstructed clips, in the order of the frames."""
    with open_artifact(path, "videos") as file:
        return tuple(read_strings(file["clip"]))


def read_videos(path: Path) -> tuple[tuple[str, ...], dict[str, Frames]]:
    """Read a videos artifact.

    Returns
    -------
    ids : tuple of str
        The reconstructed clips.
    systems : dict
        System ("network", "ridge", ...) to uint8 (clip, frame, height, width, 3).
    """
    with open_artifact(path, "videos") as file:
        ids = tuple(read_strings(file["clip"]))
        systems = {name: file["frames"][name][()] for name in sorted(file["frames"])}
    if NETWORK not in systems:
        raise ArtifactError(
            "the videos lack the reconstructions", expected=NETWORK, found=[*systems], where=path
        )
    for name, frames in systems.items():
        check_frames(frames)
        if len(frames) != len(ids):
            raise ArtifactError(
                f"frames/{name} needs one clip for each name",
                expected=len(ids),
                found=len(frames),
                where=path,
            )
    return ids, systems
