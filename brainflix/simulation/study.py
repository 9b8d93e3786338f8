"""The plan of a simulated study: which clips exist, and what is shown when in which run.

Clips depend only on the options; the order of an event-related run also depends on the subject.
Adding a subject therefore changes nothing that others see or hear.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from brainflix.config.studies import SimulationConfig
from brainflix.simulation.world import DURATION, Scene, is_held_out, sample_scenes

LEAD = 4.0  # s of rest before the first clip of a run, at least
TAIL = 10.0  # s of rest after the last clip of a run, at least
INTERVALS = (2, 3, 3, 4)  # volumes from one event to the next; drawn evenly: 3 on average


@dataclass(frozen=True)
class SimulatedClip:
    """A clip of the study.

    Attributes
    ----------
    id : str
        Unique within the study, such as "seg01_clip07".
    scene : Scene
        What it shows.
    split : str
        "train" or "test".
    group : str
        The movie segment or clip set that it belongs to; a group never straddles splits.
    file : str
        The mp4 that holds it, relative to the stimuli folder.
    onset : float
        Where it starts in that file, in s.
    """

    id: str
    scene: Scene
    split: str
    group: str
    file: str
    onset: float

    @property
    def held_out(self) -> bool:
        """Whether the combination of labels never occurs in training."""
        return is_held_out(self.scene)


@dataclass(frozen=True)
class SimulatedRun:
    """One run of a subject.

    Attributes
    ----------
    task : str
        "train" or "test".
    index : int
        Number of the run within its task, from 1.
    group : str
        The segment or clip set that is shown.
    repeat : int
        How often it was shown before, from 0.
    onsets : tuple of float
        When each clip starts, in s from the first volume.
    clips : tuple of int
        Which clip starts there, as an index into the study's clips.
    volumes : int
        Length of the run.
    """

    task: str
    index: int
    group: str
    repeat: int
    onsets: tuple[float, ...]
    clips: tuple[int, ...]
    volumes: int


def generator(options: SimulationConfig, *purpose: str | int) -> np.random.Generator:
    """Return a random generator that depends only on the study's seed, its kind and a purpose."""
    text = "/".join(str(part) for part in (options.seed, options.kind, *purpose))
    return np.random.default_rng(list(hashlib.sha256(text.encode()).digest()))


def group_names(options: SimulationConfig) -> list[tuple[str, str]]:
    """Return (split, group) of every segment or clip set, training first."""
    stem = "seg" if options.kind == "movie" else "set"
    training = [("train", f"{stem}{k + 1:02d}") for k in range(options.train_runs)]
    return [*training, ("test", "test")]


def study_clips(options: SimulationConfig) -> list[SimulatedClip]:
    """Draw the clips of a study: training ones from admitted combinations, test ones half and half.

    The test clips from held-out combinations are spread among the others.
    """
    clips: list[SimulatedClip] = []
    for split, group in group_names(options):
        rng = generator(options, "scenes", group)
        if split == "train":
            scenes = sample_scenes(options.train_clips_per_run, rng, held_out=False)
        else:
            unseen = options.test_clips // 2
            scenes = sample_scenes(options.test_clips - unseen, rng, held_out=False)
            scenes += sample_scenes(unseen, rng, held_out=True)
            scenes = [scenes[k] for k in rng.permutation(len(scenes))]
        for k, scene in enumerate(scenes):
            name = f"{group}_clip{k + 1:02d}"
            movie = options.kind == "movie"
            clips.append(
                SimulatedClip(
                    id=name,
                    scene=scene,
                    split=split,
                    group=group,
                    file=f"{group if movie else name}.mp4",
                    onset=k * DURATION if movie else 0.0,
                )
            )
    return clips


def _volumes(seconds: float, repetition_time: float) -> int:
    return math.ceil(round(seconds / repetition_time, 6))


def _run(
    options: SimulationConfig,
    subject: str,
    split: str,
    index: int,
    group: str,
    repeat: int,
    clips: Sequence[int],
) -> SimulatedRun:
    TR = options.repetition_time
    # The first clip starts with a volume.
    start = _volumes(LEAD, TR) * TR
    if options.kind == "movie":
        order = list(clips)
        onsets = [start + k * DURATION for k in range(len(order))]
    else:
        # An order of this run alone, and gaps of whole volumes that are never shorter than a clip.
        rng = generator(options, "order", subject, group, repeat)
        order = [clips[k] for k in rng.permutation(len(clips))]
        gaps = np.maximum(rng.choice(INTERVALS, size=len(order) - 1), _volumes(DURATION, TR))
        onsets = [start + TR * int(gap) for gap in (0, *np.cumsum(gaps))]
    return SimulatedRun(
        task=split,
        index=index,
        group=group,
        repeat=repeat,
        onsets=tuple(onsets),
        clips=tuple(order),
        volumes=_volumes(onsets[-1] + DURATION + TAIL, TR),
    )


def study_runs(
    options: SimulationConfig, clips: Sequence[SimulatedClip], subject: str
) -> list[SimulatedRun]:
    """Lay out the runs of a subject.

    A movie's clips follow each other without a gap, in the same order in each repeat. Events come
    every 3 volumes on average (2 to 4), in an order that differs between runs.
    """
    runs: list[SimulatedRun] = []
    for position, (split, group) in enumerate(group_names(options)):
        members = [k for k, clip in enumerate(clips) if clip.group == group]
        repeats = options.train_repeats if split == "train" else options.test_repeats
        # Training runs are numbered throughout, test runs from 1.
        first = position * repeats + 1 if split == "train" else 1
        runs += [
            _run(options, subject, split, first + repeat, group, repeat, members)
            for repeat in range(repeats)
        ]
    return runs
