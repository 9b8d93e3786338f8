"""Where clips are compared for audits and baselines: CLIP's embedding, or small pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainflix.evaluation.audit import collapse, digests
from brainflix.evaluation.baselines import thumbnails
from brainflix.evaluation.clips import Clips, even_frames
from brainflix.evaluation.frames import Frames
from brainflix.evaluation.judges import Judges, clip_embedding

Rows = NDArray[np.float32]
_THUMBNAIL_FRAMES = 8


class Space:
    """The space that the models at hand allow.

    Parameters
    ----------
    judges : Judges

    Attributes
    ----------
    name : str
        "clip", or "pixels" without a CLIP.
    """

    def __init__(self, judges: Judges) -> None:
        self._embed = judges.clip_frames
        self.name = "pixels" if self._embed is None else "clip"

    def rows(self, clips: Clips) -> Rows:
        """Return a row a clip, (clip, dim); computed once for one set of clips."""
        if self._embed is None:
            return clips.feature("thumbnails", small_rows)
        return clip_embedding(clips.seen("clip_frames", self._embed))


def small_rows(frames: Frames) -> Rows:
    """Return thumbnails of at most eight evenly chosen frames of each clip."""
    chosen = even_frames(frames.shape[1], min(frames.shape[1], _THUMBNAIL_FRAMES))
    return thumbnails(frames[:, chosen])


def collapse_audit(true: Clips, predicted: Clips, space: Space) -> dict[str, Any]:
    """Tell whether reconstructions have collapsed, see :func:`brainflix.evaluation.audit.collapse`.

    Returns
    -------
    dict
        Also distinct_reconstructions, how many differ in any pixel, and identical_to_true.
    """
    found = collapse(space.rows(predicted), space.rows(true), space.name)
    made, shown = digests(predicted.frames), digests(true.frames)
    return found | {
        "distinct_reconstructions": len(set(made)),
        "identical_to_true": sum(a == b for a, b in zip(made, shown, strict=True)),
    }
