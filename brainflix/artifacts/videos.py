"""The artifact "videos": reconstructed clips of a subject, in each variant."""

from __future__ import annotations

from pathlib import Path

from brainflix.artifacts.predictions import NETWORK
from brainflix.artifacts.store import open_artifact, read_strings
from brainflix.clips.clips import check_frames
from brainflix.clips.store import Frames
from brainflix.errors import ArtifactError


def read_videos(path: Path) -> tuple[tuple[str, ...], dict[str, Frames]]:
    """Read a videos artifact.

    Returns
    -------
    ids : tuple of str
        The reconstructed clips.
    variants : dict
        Variant ("network", "ridge", ...) to uint8 (clip, frame, height, width, 3).
    """
    with open_artifact(path, "videos") as file:
        ids = tuple(read_strings(file["clip"]))
        variants = {name: file["frames"][name][()] for name in sorted(file["frames"])}
    if NETWORK not in variants:
        raise ArtifactError(
            "the videos lack the reconstructions", expected=NETWORK, found=[*variants], where=path
        )
    for name, frames in variants.items():
        check_frames(frames)
        if len(frames) != len(ids):
            raise ArtifactError(
                f"frames/{name} needs a clip a name",
                expected=len(ids),
                found=len(frames),
                where=path,
            )
    return ids, variants
