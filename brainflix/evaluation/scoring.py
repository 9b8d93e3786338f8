"""One subject's reconstructions scored: value, interval, chance and baselines of every metric."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from brainflix.config import EvaluationConfig
from brainflix.errors import DataError
from brainflix.evaluation.baselines import grey_clip, repeated
from brainflix.evaluation.clips import Clips, Frames
from brainflix.evaluation.inference import (
    Scores,
    bootstrap_interval,
    chance_level,
    independent_units,
)
from brainflix.evaluation.inputs import NETWORK
from brainflix.evaluation.judges import Judges
from brainflix.evaluation.metrics import Metric

Row = tuple[str, str, str, float]  # clip, metric, variant, value


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
        """Return every metric's scores of one set of reconstructions."""
        found: dict[str, Scores] = {}
        for metric in self.metrics.values():
            found |= metric(self.judges, self.options.seed).score(true, predicted, pairs=pairs)
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
        """Return a metric's entry in metrics.json, but for the baselines."""
        options = self.options
        chance = chance_level(scores, options.permutations, options.seed)
        low, high = bootstrap_interval(
            scores.own, units, options.bootstrap, options.confidence, options.seed
        )
        return {
            **scores.facts,
            "value": scores.value,
            "interval": [low, high],
            "chance": chance.mean,
            "p": chance.p,
            "n": len(scores.own),
            "resampled": "clips" if tuple(units) == tuple(clips) else "groups",
        }


def score_subject(
    scorer: Scorer,
    true: Clips,
    variants: Mapping[str, Frames],
    constants: Mapping[str, Mapping[str, Scores]],
) -> tuple[dict[str, Any], list[Row]]:
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

    Returns
    -------
    entries : dict
        Metric name to its entry in metrics.json.
    rows : list of tuple
        Clip, metric, variant and value.
    """
    if NETWORK not in variants:
        raise DataError("nothing to evaluate", expected=NETWORK, found=[*variants])
    main = scorer.score(true, true.showing(variants[NETWORK]), pairs=True)
    baselines: dict[str, Mapping[str, Scores]] = dict(constants)
    for name, frames in variants.items():
        if name != NETWORK:
            baselines[name] = scorer.score(true, true.showing(frames), pairs=False)
    units = independent_units(true.groups, true.ids)
    entries = {}
    for metric, scores in main.items():
        entries[metric] = scorer.entry(scores, units, true.ids)
        entries[metric]["baselines"] = {
            name: found[metric].value for name, found in baselines.items()
        }
    return entries, [*_rows(true.ids, {NETWORK: main, **baselines})]


def _rows(ids: Sequence[str], variants: Mapping[str, Mapping[str, Scores]]) -> Iterator[Row]:
    for variant, found in variants.items():
        for metric, scores in found.items():
            for clip, value in zip(ids, scores.own, strict=True):
                yield clip, metric, variant, float(value)
