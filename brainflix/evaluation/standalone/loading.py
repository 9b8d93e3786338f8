"""Clips from their files into stores of one shape, a clip at a time."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainflix.clips.clips import VideoClips
from brainflix.clips.store import FrameSource, FrameStore, threaded
from brainflix.console import announce, track
from brainflix.errors import DataError, VideoError
from brainflix.evaluation.standalone.files import ClipSource, ProbedClip
from brainflix.evaluation.standalone.frame_rules import FramePlan, plan_frames, stretched
from brainflix.evaluation.standalone.probing import probe_clips
from brainflix.evaluation.standalone.request import MIN_PAIRS, EvaluationRequest, OpenedClips
from brainflix.formats.video import resize_frame

Indices = NDArray[np.int64]
Wanted = tuple[ClipSource, Indices]


def load_store(
    path: Path, wanted: Sequence[Wanted], shape: tuple[int, int, int, int], label: str
) -> tuple[FrameStore, Indices]:
    """Read clips into a store; what is wanted twice is read and kept once.

    Parameters
    ----------
    path : Path
        The store's file.
    wanted : sequence of (ClipSource, ndarray of int64)
        Clips and which of their stored frames.
    shape : tuple of int
        (frame, height, width, 3) of every clip afterwards.
    label : str
        What the progress bar says.

    Returns
    -------
    store : FrameStore of uint8, shape (distinct clip, frame, height, width, 3)
    rows : ndarray of int64, shape (len(wanted),)
        The row of the store that holds each clip wanted.
    """
    place: dict[tuple[str, str, bytes], int] = {}
    distinct: list[Wanted] = []
    rows = []
    for clip, indices in wanted:
        key = (clip.where, clip.name, indices.tobytes())
        if key not in place:
            place[key] = len(distinct)
            distinct.append((clip, indices))
        rows.append(place[key])
    store = FrameStore.create(path, (len(distinct), *shape))

    def fill(row: int) -> None:
        store[row] = read_clip(*distinct[row], shape)

    fill(0)  # alone, as it opens the file that threads share
    for _ in track(threaded(fill, range(1, len(distinct))), label, len(distinct) - 1):
        pass
    return store, np.array(rows, dtype=np.int64)


def read_clip(
    clip: ClipSource, indices: Indices, shape: tuple[int, int, int, int]
) -> NDArray[np.uint8]:
    """Return the frames of a clip by their places in the file, resized to a shape."""
    found = np.empty(shape, dtype=np.uint8)
    count = 0
    for count, frame in enumerate(clip.frames(indices), start=1):
        repeated = count > 1 and indices[count - 1] == indices[count - 2]
        if repeated:
            found[count - 1] = found[count - 2]
        else:
            found[count - 1] = resize_frame(frame, shape[1], shape[2])
    if count != shape[0]:
        raise VideoError(
            "the clip changed while it was read", expected=shape[0], found=count, where=clip.where
        )
    return found


@dataclass(frozen=True)
class SubjectStores:
    """One subject's clips in the order of their pairs.

    Attributes
    ----------
    true : VideoClips
    predicted : FrameSource
        The reconstructions.
    others : dict of str to FrameSource
        "oracle", "against".
    """

    true: VideoClips
    predicted: FrameSource
    others: Mapping[str, FrameSource] = field(default_factory=dict)


@dataclass(frozen=True)
class LoadedClips:
    """All clips, in stores of one shape.

    Attributes
    ----------
    subjects : dict of str to SubjectStores
        By subject, "" where there are none.
    distinct : FrameStore
        Every true clip once.
    distinct_names : tuple of str
    training : FrameStore or None
    training_ids : tuple of str
    plan : FramePlan
    """

    subjects: Mapping[str, SubjectStores]
    distinct: FrameStore
    distinct_names: tuple[str, ...]
    training: FrameStore | None
    training_ids: tuple[str, ...]
    plan: FramePlan


@contextlib.contextmanager
def loaded(inputs: OpenedClips, request: EvaluationRequest) -> Iterator[LoadedClips]:
    """Read all clips into a temporary folder that is removed when the block ends, however it does.

    Raises
    ------
    VideoError
        Where clips are damaged; all of them are named.
    """
    pairs = inputs.pairing.pairs
    forms = {
        role: probe_clips({name: source.clips[name] for name in dict.fromkeys(names)}, "probe")
        for role, source, names in (
            ("true", inputs.true, [pair.true for pair in pairs]),
            ("reconstructed", inputs.reconstructed, [pair.reconstructed for pair in pairs]),
        )
    }
    more = {
        role: probe_clips({str(k): clip for k, clip in enumerate(clips)}, f"probe {role}")
        for role, clips in inputs.others.items()
    }
    training = probe_clips(inputs.training, "probe training")
    both = [(forms["true"][p.true], forms["reconstructed"][p.reconstructed]) for p in pairs]
    plan = plan_frames(
        both,
        request.frames,
        request.size,
        [pair.clip for pair in pairs],
        others=[form for found in (*more.values(), training) for form in found.values()],
    )
    _warn(plan)
    with tempfile.TemporaryDirectory(prefix="brainflix-") as folder:
        yield _load(inputs, plan, more, training, Path(folder))


def _load(
    inputs: OpenedClips,
    plan: FramePlan,
    more: Mapping[str, Mapping[str, ProbedClip]],
    training: Mapping[str, ProbedClip],
    folder: Path,
) -> LoadedClips:
    pairs, shape = inputs.pairing.pairs, plan.shape
    wanted = {
        "true": [(inputs.true.clips[p.true], k) for p, k in zip(pairs, plan.true, strict=True)],
        "reconstructed": [
            (inputs.reconstructed.clips[p.reconstructed], k)
            for p, k in zip(pairs, plan.reconstructed, strict=True)
        ],
    }
    for role, clips in inputs.others.items():
        wanted[role] = [
            (clip, plan.other(form, k))
            for k, (clip, form) in enumerate(zip(clips, more[role].values(), strict=True))
        ]
    stores = {
        role: load_store(folder / role, found, shape, f"read {role}")
        for role, found in wanted.items()
    }
    kept = None
    if training:
        places = [(inputs.training[name], plan.other(form)) for name, form in training.items()]
        store, rows = load_store(folder / "training", places, shape, "read training")
        kept = store.take(rows)
    first = {pair.true: k for k, pair in reversed([*enumerate(pairs)])}
    names = tuple(dict.fromkeys(pair.true for pair in pairs))
    store, rows = stores["true"]
    distinct = store.take(rows[[first[name] for name in names]])
    return LoadedClips(_by_subject(inputs, stores), distinct, names, kept, tuple(training), plan)


def _by_subject(
    inputs: OpenedClips, stores: Mapping[str, tuple[FrameStore, NDArray[np.int64]]]
) -> dict[str, SubjectStores]:
    """Sort pairs by subject; subjects who saw the same clips share what is computed from them."""
    shared: dict[tuple[Any, ...], VideoClips] = {}
    subjects = {}
    for subject in inputs.subjects:
        chosen = [k for k, pair in enumerate(inputs.pairing.pairs) if pair.subject == subject]
        if len(chosen) < MIN_PAIRS:
            raise DataError(
                "a subject has too few clips",
                expected=f"at least {MIN_PAIRS}",
                found=len(chosen),
                where=subject,
            )
        frames = {role: store.take(rows[chosen]) for role, (store, rows) in stores.items()}
        ids = tuple(inputs.pairing.pairs[k].clip for k in chosen)
        groups = tuple(inputs.groups[k] for k in chosen)
        key = (ids, groups, stores["true"][1][chosen].tobytes())
        true = shared.setdefault(key, VideoClips(frames["true"], ids, groups))
        others = {role: frames[role] for role in inputs.others}
        subjects[subject] = SubjectStores(true, frames["reconstructed"], others)
    return subjects


def _warn(plan: FramePlan) -> None:
    """Report on the terminal where the rule for frames matters."""
    ratio = stretched(plan.record)
    if ratio is not None and ratio > 1.1:
        announce(
            "evaluate",
            f"clips and reconstructions differ in duration, up to {ratio:.2g} times; frames are "
            f"matched by the rule {plan.record['frames']['rule']} (see --frames)",
        )
