"""Systems compared on the same clips: by their clips, or by the vectors that they predict.

The pipeline compares vectors rather than videos: the generator that turns them into videos is the
same for all, and its sampling noise would only hide the difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from brainflix.artifacts.predictions import Vectors
from brainflix.clips.clips import VideoClips
from brainflix.config.recipe import EvaluationConfig
from brainflix.errors import DataError
from brainflix.evaluation.pooling import mean_scores
from brainflix.evaluation.results import (
    ALPHA,
    Difference,
    MetricComparison,
    SystemComparison,
)
from brainflix.evaluation.scoring import with_q
from brainflix.evaluation.vectors import vector_identification, vector_metric, vector_scores
from brainflix.statistics.bootstrap import bootstrap_interval, independent_units, sign_flip_p
from brainflix.statistics.chance import Scores

Floats = NDArray[np.float64]
VectorReader = Callable[[str, str], Vectors | None]  # (subject, target) to vectors
_SWAPPED = {"this": "other", "other": "this", "neither": "neither"}


def paired_difference(
    ours: Floats, theirs: Floats, units: Sequence[str], options: EvaluationConfig
) -> Difference:
    """Compare two systems on the same clips.

    Parameters
    ----------
    ours, theirs : ndarray of float64, shape (n,)
        Score of each clip by this system and by the other; more is better.
    units : sequence of str, length n
        What is resampled together.
    options : EvaluationConfig
        Draws, confidence and seed.
    """
    if ours.shape != theirs.shape:
        raise DataError("paired scores differ in number", expected=ours.shape, found=theirs.shape)
    difference = ours - theirs
    low, high = bootstrap_interval(
        difference, units, options.bootstrap, options.confidence, options.seed
    )
    p = sign_flip_p(difference, units, options.permutations, options.seed)
    shown = p < ALPHA and not low <= 0 <= high
    mean = float(difference.mean())
    return Difference(
        value=float(ours.mean()),
        other=float(theirs.mean()),
        difference=mean,
        interval=(low, high),
        p=p,
        n=len(ours),
        better=("this" if mean > 0 else "other") if shown else "neither",
    )


def paired(
    ours: Mapping[str, Scores],
    theirs: Mapping[str, Scores],
    true: VideoClips,
    options: EvaluationConfig,
) -> dict[str, Difference]:
    """Compare two systems on the same clips, metric by metric, with q over the metrics."""
    units = independent_units(true.groups, true.ids)
    found: dict[str, Difference] = {}
    for metric, own in ours.items():
        other = theirs.get(metric)
        if other is None or own.whole is not None or not _same_rows(own, other):
            continue
        drawn: Sequence[str] = units
        if own.rows is not None:
            drawn = [units[k] for k in own.rows]
            drawn = drawn if len(set(drawn)) > 1 else [true.ids[k] for k in own.rows]
        difference = paired_difference(own.own, other.own, drawn, options)
        if own.lower:
            difference = replace(difference, better=_SWAPPED[difference.better])
        found[metric] = difference
    return with_q({"pair": found})["pair"]


def _same_rows(own: Scores, other: Scores) -> bool:
    if own.rows is None or other.rows is None:
        return own.rows is other.rows and len(own.own) == len(other.own)
    return np.array_equal(own.rows, other.rows)


def compare_clips(
    ours: Mapping[str, Mapping[str, Scores]],
    theirs: Mapping[str, Mapping[str, Scores]],
    clips: Mapping[str, VideoClips],
    options: EvaluationConfig,
) -> SystemComparison:
    """Compare two systems by the scores of their clips.

    Several subjects who saw the same clips are compared each, and by their means over subjects.

    Parameters
    ----------
    ours, theirs : mapping
        Subject to metric to scores.
    clips : mapping of str to VideoClips
        Subject to the clips it was shown.
    options : EvaluationConfig
    """
    subjects = {name: paired(ours[name], theirs[name], clips[name], options) for name in theirs}
    first = clips[next(iter(theirs))]
    over: dict[str, Difference] = {}
    if len(subjects) == 1:
        over = next(iter(subjects.values()))
    elif all(clips[name] is first for name in theirs):
        mean, other = (mean_scores([of[name] for name in theirs]) for of in (ours, theirs))
        over = paired(mean, other, first, options)
    names = dict.fromkeys(metric for each in (over, *subjects.values()) for metric in each)
    return SystemComparison(
        "clips",
        {
            metric: MetricComparison(
                over.get(metric),
                {name: each[metric] for name, each in subjects.items() if metric in each},
            )
            for metric in names
        },
    )


def compare_vectors(
    ours: VectorReader,
    theirs: VectorReader,
    subjects: Sequence[str],
    targets: Mapping[str, Iterable[str]],
    groups: Mapping[str, Mapping[str, str]],
    options: EvaluationConfig,
) -> SystemComparison:
    """Compare two systems, target by target, on the clips of every subject that both have.

    Parameters
    ----------
    ours, theirs : callable
        (``study/subject``, target) to :class:`Vectors`, or None where there are none.
    subjects : sequence of str
        ``study/subject``.
    targets : mapping of str to iterable of str
        Study to the targets regressed there.
    groups : mapping of str to mapping of str to str
        Study to clip to group.
    options : EvaluationConfig

    Returns
    -------
    SystemComparison
        By ``identification@vector:TARGET``; pooled over clips, the differences of a clip averaged
        over its subjects. Without metrics where the systems share nothing.
    """
    found: dict[str, MetricComparison] = {}
    for target in dict.fromkeys(t for names in targets.values() for t in names):
        pairs = {}
        for name in subjects:
            if target not in targets[name.partition("/")[0]]:
                continue
            own, other = ours(name, target), theirs(name, target)
            if own is not None and other is not None:
                pairs[name] = (own, _in_order(other, own.ids, name))
        if pairs:
            found[vector_metric(target)] = _compare_target(pairs, groups, options)
    return SystemComparison("vectors", found)


def _in_order(vectors: Vectors, ids: Sequence[str], name: str) -> Vectors:
    if set(vectors.ids) != set(ids):
        raise DataError(
            "two systems were tested on different clips",
            expected=f"{len(ids)} clips",
            found=f"{len(vectors.ids)} clips, {len(set(ids) & set(vectors.ids))} of them in common",
            where=name,
        )
    place = {clip: k for k, clip in enumerate(vectors.ids)}
    rows = [place[clip] for clip in ids]
    return Vectors(tuple(ids), vectors.averaged[rows], vectors.true[rows])


def _compare_target(
    pairs: Mapping[str, tuple[Vectors, Vectors]],
    groups: Mapping[str, Mapping[str, str]],
    options: EvaluationConfig,
) -> MetricComparison:
    subjects: dict[str, Difference] = {}
    collected: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for name, (own, other) in pairs.items():
        study = name.partition("/")[0]
        scores = [vector_identification(v.averaged, v.true) for v in (own, other)]
        units = independent_units([groups[study][clip] for clip in own.ids], own.ids)
        subjects[name] = paired_difference(scores[0], scores[1], units, options)
        for clip, a, b in zip(own.ids, *scores, strict=True):
            collected.setdefault((study, clip), []).append((float(a), float(b)))
    vectors = {
        name: (
            vector_scores(own.averaged, own.true),
            vector_scores(other.averaged, other.true),
        )
        for name, (own, other) in pairs.items()
    }
    return MetricComparison(_over_clips(collected, groups, options), subjects, vectors)


def _over_clips(
    collected: Mapping[tuple[str, str], list[tuple[float, float]]],
    groups: Mapping[str, Mapping[str, str]],
    options: EvaluationConfig,
) -> Difference:
    """Compare over the clips of all studies; a study's units are what its own test would use."""
    means: Floats = np.array([np.mean(scores, axis=0) for scores in collected.values()])
    units: dict[tuple[str, str], str] = {}
    for study in dict.fromkeys(study for study, _ in collected):
        clips = [clip for owner, clip in collected if owner == study]
        chosen = independent_units([groups[study][clip] for clip in clips], clips)
        units |= {(study, clip): f"{study}/{u}" for clip, u in zip(clips, chosen, strict=True)}
    return paired_difference(means[:, 0], means[:, 1], [units[key] for key in collected], options)
