"""The artifact "target": a vector or tensor of each clip."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from brainflix.artifacts.stimuli import Array, Clips
from brainflix.artifacts.store import open_artifact, read_strings
from brainflix.errors import ArtifactError


def read_target(path: Path, clips: Clips) -> Array:
    """Read a target's values in the order of a study's clips, shape (clip, ...).

    Raises
    ------
    ArtifactError
        When it was made from other clips, or holds values that are not finite.
    """
    with open_artifact(path, "target") as file:
        found = read_strings(file["clip"])
        values = np.asarray(file["values"][()], dtype=np.float32)
    if found != clips.clip.tolist():
        raise ArtifactError(
            f"the target was computed from other clips than {clips.study} has",
            expected=f"{len(clips.clip)} clips in the order of the stimuli",
            found=f"{len(found)} clips",
            where=path,
            remedy="run the stage encode again",
        )
    if not np.isfinite(values).all():
        raise ArtifactError("the target holds values that are not finite", where=path)
    return values
