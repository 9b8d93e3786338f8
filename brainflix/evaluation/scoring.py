"""Reconstructions scored: value, interval, chance and baselines of every metric, by one code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

import numpy as np

from brainflix.clips.clips import Feature, VideoClips, random_rows
from brainflix.clips.store import Frames, FrameSource, take
from brainflix.config.recipe import EvaluationConfig
from brainflix.evaluation.baselines import grey_clip, repeated
from brainflix.evaluation.results import Difference, Entry
from brainflix.metrics.base import Metric, PairMetric
from brainflix.metrics.models import MetricModels
from brainflix.metrics.pairwise import score_pairs
from brainflix.statistics.bootstrap import bootstrap_interval, false_discovery, independent_units
from brainflix.statistics.chance import Scores, chance_level

Baseline = FrameSource | Mapping[str, Scores]
Tested = TypeVar("Tested", Entry, Difference)
_BASELINE_SAMPLES = 250_000_000  # samples of clips up to which baselines are scored on all of them


class SystemScore(NamedTuple):
    """One score of one clip of a set: clip, metric, system and value."""

    clip: str
    metric: str
    system: str
    value: float


@dataclass(frozen=True)
class Scorer:
    """The metrics of a run, with the models they need.

    Attributes
    ----------
    metrics : mapping of str to Metric class
        By name in the configuration.
    models : MetricModels
    options : EvaluationConfig
    """

    metrics: Mapping[str, type[Metric]]
    models: MetricModels
    options: EvaluationConfig

    def score(self, true: VideoClips, predicted: VideoClips, *, pairs: bool) -> dict[str, Scores]:
        """Return every metric's scores of one set of reconstructions.

        What metrics compute of single clips takes one pass over each set, and what they compute of
        pairs of clips another.
        """
        chosen = [metric(self.models, self.options.seed) for metric in self.metrics.values()]
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

    def constants(
        self, true: VideoClips, mean_training_clip: Frames
    ) -> dict[str, dict[str, Scores]]:
        """Return the scores of the two baselines that are one clip for all."""
        clips = {
            "grey": grey_clip(true.frames.shape[1:]),
            "mean_training_clip": mean_training_clip,
        }
        return {
            name: self.score(true, true.showing(repeated(clip, len(true))), pairs=False)
            for name, clip in clips.items()
        }

    def entry(self, scores: Scores, units: Sequence[str], clips: Sequence[str]) -> Entry:
        """Return a metric's entry without baselines.

        A score of the whole set has neither an interval nor chance, and a single metric may be of
        some clips only: n says how many.
        """
        options = self.options
        if scores.whole is not None:
            return Entry(scores.whole, len(clips), lower=scores.lower, notes=scores.facts)
        if scores.rows is not None:
            units, clips = ([of[k] for k in scores.rows] for of in (units, clips))
            if len(set(units)) < 2:
                units = clips
        entry = Entry(
            scores.value,
            len(scores.own),
            bootstrap_interval(
                scores.own, units, options.bootstrap, options.confidence, options.seed
            ),
            resampled="clips" if tuple(units) == tuple(clips) else "groups",
            lower=scores.lower,
            notes=scores.facts,
        )
        if not scores.paired:
            return entry
        chance = chance_level(scores, options.permutations, options.seed)
        return replace(entry, chance=chance.mean, p=chance.p)


@dataclass(frozen=True)
class ScoredSystem:
    """A system's scores on one set of clips.

    Attributes
    ----------
    entries : dict of str to Entry
        By metric, without ``q``; see :func:`with_q`.
    rows : list of SystemScore
        The system's and the baselines'.
    scores : dict of str to Scores
        The system's own.
    """

    entries: dict[str, Entry]
    rows: list[SystemScore]
    scores: dict[str, Scores]


def score_system(
    scorer: Scorer,
    true: VideoClips,
    predicted: FrameSource,
    baselines: Mapping[str, Baseline],
    system: str = "network",
) -> ScoredSystem:
    """Score reconstructions and every baseline by the same code.

    Large sets have their baselines scored on clips drawn at random, as many as the note
    ``baseline_clips`` of the entries says.

    Parameters
    ----------
    scorer : Scorer
    true : VideoClips
        The clips that were shown.
    predicted : FrameSource of uint8, shape (clip, frame, height, width, 3)
        In the order of ``true``.
    baselines : mapping of str to FrameSource, or to scores
        Other reconstructions of the same clips, or what :meth:`Scorer.score` returned for them.
    system : str
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
    sampled = rows is not None and any(not isinstance(b, Mapping) for b in baselines.values())
    facts = {"baseline_clips": len(seen)} if sampled else {}
    units = independent_units(true.groups, true.ids)
    entries = {}
    for metric, scores in main.items():
        entry = scorer.entry(scores, units, true.ids)
        reached = {name: of[metric].value for name, of in others.items() if metric in of}
        entries[metric] = replace(entry, baselines=reached, notes={**entry.notes, **facts})
    table = [*_rows(true.ids, system, main)]
    for name, found in others.items():
        ids = true.ids if isinstance(baselines[name], Mapping) else seen.ids
        table += _rows(ids, name, found)
    return ScoredSystem(entries, table, main)


def _baseline_rows(true: VideoClips, seed: int) -> Any:
    """Return the clips that baselines are scored on, None for all of them."""
    one = int(np.prod(true.frames.shape[1:]))
    count = max(2, _BASELINE_SAMPLES // one)
    if count >= len(true):
        return None
    return random_rows(len(true), count, seed)


def _rows(ids: Sequence[str], system: str, found: Mapping[str, Scores]) -> Iterator[SystemScore]:
    for metric, scores in found.items():
        if scores.whole is not None:
            continue
        clips = ids if scores.rows is None else [ids[k] for k in scores.rows]
        for clip, value in zip(clips, scores.own, strict=True):
            yield SystemScore(clip, metric, system, float(value))


def with_q(families: Mapping[str, Mapping[str, Tested]]) -> dict[str, dict[str, Tested]]:
    """Return entries with the false discovery rate ``q`` next to every ``p``, over all of them.

    Parameters
    ----------
    families : mapping
        Subject to metric to entry (or difference).
    """
    tested = [
        (name, metric, entry.p)
        for name, entries in families.items()
        for metric, entry in entries.items()
        if entry.p is not None
    ]
    found = {name: dict(entries) for name, entries in families.items()}
    for (name, metric, _), q in zip(tested, false_discovery(p for *_, p in tested), strict=True):
        found[name][metric] = replace(found[name][metric], q=q)
    return found
