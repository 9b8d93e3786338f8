"""Several subjects together: means, with intervals that draw subjects and their clips."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from brainflix.clips.clips import VideoClips
from brainflix.config.recipe import EvaluationConfig
from brainflix.evaluation.results import Entry
from brainflix.statistics.bootstrap import SubjectScores, hierarchical_interval, independent_units
from brainflix.statistics.chance import Scores

P_NOTE = "the largest of any subject's"


@dataclass(frozen=True)
class SubjectMean:
    """A metric over subjects.

    Attributes
    ----------
    value : float
        The mean over subjects of their means over clips.
    interval : (float, float)
    subjects : int
    resampled : str
        "subjects and clips", or "clips" for a single subject, whose interval says nothing about
        other people.
    """

    value: float
    interval: tuple[float, float]
    subjects: int
    resampled: str


def over_subjects(
    scores: Mapping[str, Mapping[str, Scores]],
    clips: Mapping[str, VideoClips],
    options: EvaluationConfig,
) -> dict[str, SubjectMean]:
    """Summarise several subjects: the mean, with an interval over subjects and their clips.

    Parameters
    ----------
    scores : mapping
        Subject to metric to scores.
    clips : mapping of str to VideoClips
        Subject to the clips it was shown.
    options : EvaluationConfig
        Draws, confidence and seed.
    """
    found: dict[str, SubjectMean] = {}
    names = dict.fromkeys(metric for metrics in scores.values() for metric in metrics)
    for metric in names:
        parts = []
        for subject, metrics in scores.items():
            one = metrics.get(metric)
            if one is None or one.whole is not None:
                continue
            rows = range(len(clips[subject])) if one.rows is None else one.rows
            groups, ids = (
                [of[k] for k in rows] for of in (clips[subject].groups, clips[subject].ids)
            )
            parts.append(SubjectScores(one.own, independent_units(groups, ids)))
        if not parts:
            continue
        interval = hierarchical_interval(parts, options.bootstrap, options.confidence, options.seed)
        found[metric] = SubjectMean(
            float(np.mean([part.own.mean() for part in parts])),
            interval,
            len(parts),
            "subjects and clips" if len(parts) > 1 else "clips",
        )
    return found


def pooled(
    entries: Mapping[str, Mapping[str, Entry]], means: Mapping[str, SubjectMean]
) -> dict[str, Entry]:
    """Return every metric over subjects: the interval resamples them and their clips.

    Chance and baselines are means over subjects. P and q are the largest of any subject's: those of
    "above chance in every subject".

    Parameters
    ----------
    entries : mapping
        Subject to metric to entry.
    means : mapping of str to SubjectMean
        What :func:`over_subjects` returned.
    """
    if len(entries) == 1:
        return dict(next(iter(entries.values())))
    found = {}
    for metric in dict.fromkeys(name for each in entries.values() for name in each):
        each = [of[metric] for of in entries.values() if metric in of]
        names = dict.fromkeys(name for entry in each for name in entry.baselines)
        tested = any(entry.p is not None for entry in each)
        entry = Entry(
            value=_mean(entry.value for entry in each),
            n=sum(entry.n for entry in each),
            chance=_mean(entry.chance for entry in each),
            p=_largest(entry.p for entry in each),
            q=_largest(entry.q for entry in each),
            subjects=len(each),
            lower=each[0].lower,
            baselines={name: _mean(entry.baselines.get(name) for entry in each) for name in names},
            notes={"p_is": P_NOTE} if tested else {},
        )
        mean = means.get(metric)
        if mean is not None:
            entry = replace(
                entry,
                value=mean.value,
                interval=mean.interval,
                subjects=mean.subjects,
                resampled=mean.resampled,
            )
        found[metric] = entry
    return found


def _mean(values: Iterable[float | None]) -> float | None:
    found = [*values]
    known = [value for value in found if value is not None]
    return float(np.mean(known)) if known and len(known) == len(found) else None


def _largest(values: Iterable[float | None]) -> float | None:
    found = [*values]
    known = [value for value in found if value is not None]
    return max(known) if known and len(known) == len(found) else None


def mean_scores(subjects: Sequence[Mapping[str, Scores]]) -> dict[str, Scores]:
    """Return each clip's mean score over subjects, by the metrics that score every clip.

    Parameters
    ----------
    subjects : sequence of mapping of str to Scores
        The scores of subjects who saw the same clips in the same order.
    """
    found = {}
    for metric, scores in subjects[0].items():
        each = [of[metric] for of in subjects if metric in of]
        whole = len(each) == len(subjects) and all(one.rows is None for one in each)
        if len(subjects) == 1 or (whole and all(len(one.own) for one in each)):
            own = np.mean([one.own for one in each], axis=0)
            found[metric] = replace(scores, own=own, others=None, blocks=())
    return found
