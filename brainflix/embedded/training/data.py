"""Training clips for the embedded models: scenes of the simulated world and their labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from brainflix.console import track
from brainflix.simulation.world import (
    ATTRIBUTES,
    FRAMES,
    LABELS,
    SIZE,
    Scene,
    captions,
    render,
    sample_scenes,
)


@dataclass(frozen=True)
class Pool:
    """Scenes with their rendered clips.

    Attributes
    ----------
    scenes : sequence of Scene
    clips : ndarray of uint8, shape (clip, frame, 64, 64, 3)
    """

    scenes: Sequence[Scene]
    clips: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.scenes)

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """Label indices, shape (clip, 4), in the order of ATTRIBUTES."""
        rows = [
            [LABELS[name].index(scene.attributes()[name]) for name in ATTRIBUTES]
            for scene in self.scenes
        ]
        return np.array(rows, dtype=np.int64)

    @cached_property
    def captions(self) -> list[list[str]]:
        """Eight phrasings a clip."""
        return [captions(scene, 8) for scene in self.scenes]


def make_pool(n: int, seed: int, held_out: bool | None = False) -> Pool:
    """Draw and render ``n`` scenes."""
    scenes = sample_scenes(n, np.random.default_rng(seed), held_out)
    clips = np.empty((n, FRAMES, SIZE, SIZE, 3), dtype=np.uint8)
    for k, scene in enumerate(track(scenes, "render clips", n)):
        clips[k] = render(scene)
    return Pool(scenes, clips)


def describe(n: int, seed: int) -> tuple[list[list[str]], NDArray[np.int64]]:
    """Draw ``n`` scenes without rendering them.

    Returns
    -------
    list of list of str
        Eight phrasings a scene.
    ndarray of int64, shape (scene, 4)
        Label indices.
    """
    pool = Pool(sample_scenes(n, np.random.default_rng(seed)), np.empty(0, np.uint8))
    return pool.captions, pool.labels
