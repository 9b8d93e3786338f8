"""Reconstructions scored: value, interval, chance and baselines of every metric, by one code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from brainflix.artifacts.predictions import NETWORK
from brainflix.clips.clips import Feature, random_rows
from brainflix.clips.clips import VideoClips as Clips
from brainflix.clips.store import Frames, FrameSource, take
from brainflix.config.recipe import EvaluationConfig
from brainflix.errors import DataError
from brainflix.evaluation.baselines import grey_clip, repeated
from brainflix.evaluation.vectors import paired_difference
from brainflix.metrics.base import Metric, PairMetric
from brainflix.metrics.models import MetricModels as Judges
from brainflix.metrics.pairwise import score_pairs
from brainflix.statistics.bootstrap import (
    SubjectScores,
    bootstrap_interval,
    false_discovery,
    hierarchical_interval,
    independent_units,
)
from brainflix.statistics.chance import Scores, chance_level

Row = tuple[str, str, str, float]  # clip, metric, variant, value
Baseline = FrameSource | Mapping[str, Scores]
_BASELINE_SAMPLES = 250_000_000  # samples of clips up to which baselines are scored on all of them


@dataclass(frozen=True)
class Scorer:
    """The metrics of a run, with the models they need.

    Attributes
    ----------
    metrics : mapping of str to Metric class
        By name in the configuration.
    judges : Judges
    options : EvaluationConfig
    """

    metrics: Mapping[str, type[Metric]]
    judges: Judges
    options: EvaluationConfig

    def score(self, true: Clips, predicted: Clips, *, pairs: bool) -> dict[str, Scores]:
        """Return every metric's scores of one set of reconstructions.

        What metrics compute of single clips takes one pass over each set, and what they compute of
        pairs of clips another.
        """
        chosen = [metric(self.judges, self.options.seed) for metric in self.metrics.values()]
        features: dict[str, Feature] = {}
        wanted: dict[Any, dict[str, bool]] = {}
        for metric in chosen:
            features |= metric.features()
            if isinstance(metric, PairMetric):
                wanted.setdefault(type(metric).kernel, {})[metric.name] = metric.lower
        for clips in (true, predicted):
            clips.gather(features)
        seed = self.options.seed
        compared = score_pairs(wanted, true, predicted, pairs=pairs, seed=seed) if wanted else {}
        found: dict[str, Scores] = {}
        for metric in chosen:
            if isinstance(metric, PairMetric):
                found[metric.name] = compared[metric.name]
            else:
                found |= metric.score(true, predicted, pairs=pairs)
        return found

    def constants(self, true: Clips, mean_training_clip: Frames) -> dict[str, dict[str, Scores]]:
        """Return the scores of the two baselines that know nothing of the brain."""
        clips = {
            "grey": grey_clip(true.frames.shape[1:]),
            "mean_training_clip": mean_training_clip,
        }
        return {
            name: self.score(true, true.showing(repeated(clip, len(true))), pairs=False)
            for name, clip in clips.items()
        }

    def entry(self, scores: Scores, units: Sequence[str], clips: Sequence[str]) -> dict[str, Any]:
        """Return a metric's entry in metrics.json, but for the baselines.

        A score of the whole set has neither an interval nor chance, and a single metric may be of
        some clips only: n says how many.
        """
        options = self.options
        if scores.whole is not None:
            nothing = dict.fromkeys(("interval", "chance", "p", "q"))
            return {**scores.facts, **nothing, "value": scores.whole, "n": len(clips)}
        if scores.rows is not None:
            units, clips = ([of[k] for k in scores.rows] for of in (units, clips))
            if len(set(units)) < 2:
                units = clips
        low, high = bootstrap_interval(
            scores.own, units, options.bootstrap, options.confidence, options.seed
        )
        entry: dict[str, Any] = {
            **scores.facts,
            "value": scores.value,
            "interval": [low, high],
            "chance": None,
            "p": None,
            "n": len(scores.own),
            "resampled": "clips" if tuple(units) == tuple(clips) else "groups",
        }
        if scores.paired:
            chance = chance_level(scores, options.permutations, options.seed)
            entry |= {"chance": chance.mean, "p": chance.p}
        return entry


@dataclass(frozen=True)
class Scored:
    """A system's scores on one set of clips.

    Attributes
    ----------
    entries : dict
        Metric to its entry in metrics.json, without ``q``; see :func:`add_q`.
    rows : list of tuple
        Clip, metric, variant and value.
    scores : dict of str to Scores
        The system's own, for :func:`paired` and :func:`over_subjects`.
    """

    entries: dict[str, Any]
    rows: list[Row]
    scores: dict[str, Scores]


def score_system(
    scorer: Scorer,
    true: Clips,
    predicted: FrameSource,
    baselines: Mapping[str, Baseline],
    variant: str = NETWORK,
) -> Scored:
    """Score reconstructions and every baseline by the same code.

    Large sets have their baselines scored on clips drawn at random, as many as the entries'
    ``baseline_clips`` says.

    Parameters
    ----------
    scorer : Scorer
    true : Clips
        The clips that were shown.
    predicted : FrameSource of uint8, shape (clip, frame, height, width, 3)
        In the order of ``true``.
    baselines : mapping of str to FrameSource, or to scores
        Other reconstructions of the same clips, or what :meth:`Scorer.score` returned for them.
    variant : str
        What the rows call the system.
    """
    main = scorer.score(true, true.showing(predicted), pairs=True)
    rows = _baseline_rows(true, scorer.options.seed)
    seen = true if rows is None else true.subset(rows)
    others: dict[str, Mapping[str, Scores]] = {}
    for name, found in baselines.items():
        if isinstance(found, Mapping):
            others[name] = found
            continue
        shown = true.showing(found).frames
        shown = shown if rows is None else take(shown, rows)
        others[name] = scorer.score(seen, seen.showing(shown), pairs=False)
    units = independent_units(true.groups, true.ids)
    entries = {}
    for metric, scores in main.items():
        entry = scorer.entry(scores, units, true.ids)
        entry["baselines"] = {
            name: found[metric].value for name, found in others.items() if metric in found
        }
        if rows is not None and any(not isinstance(b, Mapping) for b in baselines.values()):
            entry["baseline_clips"] = len(rows)
        entries[metric] = entry
    table = [*_rows(true.ids, {variant: main})]
    for name, found in others.items():
        ids = true.ids if isinstance(baselines[name], Mapping) else seen.ids
        table += _rows(ids, {name: found})
    return Scored(entries, table, main)


def score_subject(
    scorer: Scorer,
    true: Clips,
    variants: Mapping[str, Frames],
    constants: Mapping[str, Mapping[str, Scores]],
) -> Scored:
    """Score a subject's reconstructions and every baseline by the same code.

    Parameters
    ----------
    scorer : Scorer
    true : Clips
        The clips that were shown.
    variants : mapping of str to ndarray of uint8, shape (clip, frame, height, width, 3)
        "network" and whatever else was generated, in the order of ``true``.
    constants : mapping
        What :meth:`Scorer.constants` returned for the same clips.
    """
    if NETWORK not in variants:
        raise DataError("nothing to evaluate", expected=NETWORK, found=[*variants])
    baselines: dict[str, Baseline] = dict(constants)
    baselines |= {name: frames for name, frames in variants.items() if name != NETWORK}
    return score_system(scorer, true, variants[NETWORK], baselines)


def _baseline_rows(true: Clips, seed: int) -> Any:
    """Return the clips that baselines are scored on, None for all of them."""
    one = int(np.prod(true.frames.shape[1:]))
    count = max(2, _BASELINE_SAMPLES // one)
    if count >= len(true):
        return None
    return random_rows(len(true), count, seed)


def _rows(ids: Sequence[str], variants: Mapping[str, Mapping[str, Scores]]) -> Iterator[Row]:
    for variant, found in variants.items():
        for metric, scores in found.items():
            if scores.whole is not None:
                continue
            clips = ids if scores.rows is None else [ids[k] for k in scores.rows]
            for clip, value in zip(clips, scores.own, strict=True):
                yield clip, metric, variant, float(value)


def add_q(subjects: Mapping[str, Mapping[str, dict[str, Any]]]) -> None:
    """Write the false discovery rate ``q`` beside every ``p``, over all metrics and subjects.

    Parameters
    ----------
    subjects : mapping
        Subject to metric to entry; the entries are changed.
    """
    entries = [entry for metrics in subjects.values() for entry in metrics.values()]
    tested = [entry for entry in entries if entry.get("p") is not None]
    for entry, q in zip(tested, false_discovery(entry["p"] for entry in tested), strict=True):
        entry["q"] = q


def paired(
    ours: Mapping[str, Scores],
    theirs: Mapping[str, Scores],
    true: Clips,
    options: EvaluationConfig,
) -> dict[str, dict[str, Any]]:
    """Set two systems beside each other on the same clips, metric by metric.

    Returns
    -------
    dict
        Metric to value, other, difference, interval, p (two-sided, sign flips), q over the metrics,
        n and better ("this", "other", "neither"), which minds whether less is better.
    """
    units = independent_units(true.groups, true.ids)
    found: dict[str, dict[str, Any]] = {}
    for metric, mine in ours.items():
        other = theirs.get(metric)
        if other is None or mine.whole is not None or not _same_rows(mine, other):
            continue
        drawn: Sequence[str] = units
        if mine.rows is not None:
            drawn = [units[k] for k in mine.rows]
            drawn = drawn if len(set(drawn)) > 1 else [true.ids[k] for k in mine.rows]
        found[metric] = paired_difference(mine.own, other.own, drawn, options)
        if mine.lower and found[metric]["better"] != "neither":
            found[metric]["better"] = "other" if found[metric]["better"] == "this" else "this"
    add_q({"pair": found})
    return found


def _same_rows(mine: Scores, other: Scores) -> bool:
    if mine.rows is None or other.rows is None:
        return mine.rows is other.rows and len(mine.own) == len(other.own)
    return np.array_equal(mine.rows, other.rows)


def over_subjects(
    scores: Mapping[str, Mapping[str, Scores]],
    clips: Mapping[str, Clips],
    options: EvaluationConfig,
) -> dict[str, dict[str, Any]]:
    """Summarise several subjects: the mean, with an interval over subjects and their clips.

    Parameters
    ----------
    scores : mapping
        Subject to metric to scores.
    clips : mapping of str to Clips
        Subject to the clips it was shown.
    options : EvaluationConfig
        Draws, confidence and seed.

    Returns
    -------
    dict
        Metric to value, interval, subjects and resampled ("subjects and clips", or "clips" for a
        single subject, whose interval says nothing of other people).
    """
    found: dict[str, dict[str, Any]] = {}
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
        low, high = hierarchical_interval(
            parts, options.bootstrap, options.confidence, options.seed
        )
        found[metric] = {
            "value": float(np.mean([part.own.mean() for part in parts])),
            "interval": [low, high],
            "subjects": len(parts),
            "resampled": "subjects and clips" if len(parts) > 1 else "clips",
        }
    return found
