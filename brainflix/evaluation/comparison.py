"""Systems set beside each other on the same clips, by the vectors that they predict.

Vectors are compared rather than videos: the generator that turns them into videos is the same for
all, and its sampling noise would only hide the difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from brainflix.artifacts.predictions import Vectors
from brainflix.config.recipe import EvaluationConfig
from brainflix.errors import DataError
from brainflix.evaluation.vectors import (
    Floats,
    paired_difference,
    vector_identification,
    vector_scores,
)
from brainflix.statistics.bootstrap import independent_units

Reader = Callable[[str, str], Vectors | None]  # (subject, target) to vectors


def compare_systems(
    ours: Reader,
    theirs: Reader,
    subjects: Sequence[str],
    targets: Mapping[str, Iterable[str]],
    groups: Mapping[str, Mapping[str, str]],
    options: EvaluationConfig,
) -> dict[str, Any]:
    """Compare two systems, a target at a time, on the clips of every subject that both have.

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
    dict
        Target to {"subjects": {name: paired difference with both systems' vector scores},
        "pooled": paired difference over clips, a clip's differences averaged over its subjects}.
        Empty where the systems share nothing.
    """
    found: dict[str, Any] = {}
    for target in dict.fromkeys(t for names in targets.values() for t in names):
        pairs = {}
        for name in subjects:
            if target not in targets[name.partition("/")[0]]:
                continue
            mine, other = ours(name, target), theirs(name, target)
            if mine is not None and other is not None:
                pairs[name] = (mine, _in_order(other, mine.ids, name))
        if pairs:
            found[target] = _compare_target(pairs, groups, options)
    return found


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
) -> dict[str, Any]:
    subjects: dict[str, Any] = {}
    collected: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for name, (mine, other) in pairs.items():
        study = name.partition("/")[0]
        scores = [vector_identification(v.averaged, v.true) for v in (mine, other)]
        units = independent_units([groups[study][clip] for clip in mine.ids], mine.ids)
        subjects[name] = {
            **paired_difference(scores[0], scores[1], units, options),
            "this_vectors": vector_scores(mine.averaged, mine.true),
            "other_vectors": vector_scores(other.averaged, other.true),
        }
        for clip, a, b in zip(mine.ids, *scores, strict=True):
            collected.setdefault((study, clip), []).append((float(a), float(b)))
    return {"subjects": subjects, "pooled": _pooled(collected, groups, options)}


def _pooled(
    collected: Mapping[tuple[str, str], list[tuple[float, float]]],
    groups: Mapping[str, Mapping[str, str]],
    options: EvaluationConfig,
) -> dict[str, Any]:
    """Compare over the clips of all studies; a study's units are what its own test would use."""
    means: Floats = np.array([np.mean(scores, axis=0) for scores in collected.values()])
    units: dict[tuple[str, str], str] = {}
    for study in dict.fromkeys(study for study, _ in collected):
        clips = [clip for owner, clip in collected if owner == study]
        chosen = independent_units([groups[study][clip] for clip in clips], clips)
        units |= {(study, clip): f"{study}/{u}" for clip, u in zip(clips, chosen, strict=True)}
    return paired_difference(means[:, 0], means[:, 1], [units[key] for key in collected], options)
