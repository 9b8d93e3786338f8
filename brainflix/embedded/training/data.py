"""Training clips for the embedded models: scenes of the simulated world and their labels."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
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
    object_cells,
    render,
    sample_scenes,
)

_TOGETHER = 50  # clips that a process renders at a time
_WORTHWHILE = 400  # clips from which on starting processes pays


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

    def reached(self, cells: int) -> NDArray[np.bool_]:
        """Return which cells of a grid each object reaches, (clip, frame, cells, cells)."""
        return np.stack([object_cells(scene, cells) for scene in self.scenes])


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def make_pool(
    n: int, seed: int | Sequence[int], held_out: bool | None = False, processes: int | None = None
) -> Pool:
    """Draw and render ``n`` scenes.

    Parameters
    ----------
    n : int
        Number of scenes.
    seed : int or sequence of int
        Seed of the scenes.
    held_out : bool or None
        False for combinations allowed in training, True for held-out ones, None for both.
    processes : int, optional
        Processes that render; by default all cores for many clips and none for a few. The clips
        do not depend on it.
    """
    scenes = sample_scenes(n, np.random.default_rng(seed), held_out)
    clips = np.empty((n, FRAMES, SIZE, SIZE, 3), dtype=np.uint8)
    groups = [scenes[start : start + _TOGETHER] for start in range(0, n, _TOGETHER)]
    if processes is None:
        processes = cores() if n >= _WORTHWHILE else 1
    with _rendered(groups, processes) as parts:
        for k, part in enumerate(track(parts, "render clips", len(groups))):
            clips[k * _TOGETHER : k * _TOGETHER + len(part)] = part
    return Pool(scenes, clips)


@contextmanager
def _rendered(
    groups: Sequence[Sequence[Scene]], processes: int
) -> Iterator[Iterable[NDArray[np.uint8]]]:
    """Give the clips of each group of scenes, in order."""
    if processes <= 1:
        yield map(_render, groups)
        return
    # started afresh: a fork would copy the threads' locks of torch, and a GPU does not survive one
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as executor:
        yield executor.map(_render, groups)


def _render(scenes: Sequence[Scene]) -> NDArray[np.uint8]:
    return np.stack([render(scene) for scene in scenes])


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
