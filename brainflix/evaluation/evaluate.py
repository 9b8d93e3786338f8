"""The evaluator: clips of a system in, every number with its context out.

It is fed by a *source*: the pipeline's stage (:mod:`brainflix.evaluation.stage`) or folders of
clips (:mod:`brainflix.evaluation.standalone.source`). A source opens clips, says what else is
scored on them, and makes the audits that need more than the clips; all scores are computed here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from brainflix.clips.clips import VideoClips
from brainflix.clips.store import FrameSource
from brainflix.config.recipe import EvaluationConfig
from brainflix.console import track
from brainflix.errors import ConfigError
from brainflix.evaluation.audits.collapse import CollapseAudit, collapse_audit
from brainflix.evaluation.audits.nearness import Space
from brainflix.evaluation.clip_table import ClipScore
from brainflix.evaluation.comparison import compare_clips
from brainflix.evaluation.origin import Provenance
from brainflix.evaluation.pooling import over_subjects, pooled
from brainflix.evaluation.results import (
    PredictedVectors,
    Results,
    StudyAudits,
    SubjectResults,
    SystemComparison,
)
from brainflix.evaluation.scoring import Baseline, ScoredSystem, Scorer, score_system, with_q
from brainflix.metrics.base import Metric
from brainflix.metrics.catalogue import usable, why_skipped
from brainflix.metrics.models import MetricModels
from brainflix.statistics.chance import Scores

SubjectVectors = Mapping[str, Mapping[str, PredictedVectors]]  # target to estimator to scores


@dataclass(frozen=True)
class TestClips:
    """The clips of one subject that are evaluated.

    Attributes
    ----------
    study, subject : str
        Empty where there are none.
    true : VideoClips
        The clips that were shown. Subjects who saw the same ones share the object.
    reconstructed : FrameSource of uint8, shape (clip, frame, height, width, 3)
        The system's, in the order of ``true``.
    baselines : mapping of str to FrameSource, or to scores
        What else is scored on these clips, see :func:`score_system`.
    other : FrameSource or None
        Another system's clips, to be compared with.
    """

    __test__ = False  # not a class of tests

    study: str
    subject: str
    true: VideoClips
    reconstructed: FrameSource
    baselines: Mapping[str, Baseline] = field(default_factory=dict)
    other: FrameSource | None = None


class ClipsSource(Protocol):
    """Where an evaluation gets its clips from, and the audits that need more than clips."""

    @property
    def system(self) -> str:
        """What the table of clips calls the system that is scored."""

    @property
    def other(self) -> str:
        """What the system that :attr:`TestClips.other` comes from is called; may be empty."""

    def subjects(self, scorer: Scorer, space: Space) -> Iterator[tuple[str, TestClips]]:
        """Yield each subject's name in the results and its clips."""

    def vectors(self, name: str) -> tuple[SubjectVectors, Sequence[tuple[str, str, str, float]]]:
        """Return scores of predicted vectors, and rows (clip, metric, system, value)."""

    def comparisons(self) -> Mapping[str, SystemComparison]:
        """Return the comparisons that are not made on clips, by the other system."""

    def audits(self, scores: Sequence[ClipScore], space: Space) -> Mapping[str, StudyAudits]:
        """Return the audits of each study's clips."""

    def provenance(self, models: MetricModels) -> Provenance:
        """Return where the clips come from."""


def evaluate_clips(source: ClipsSource, scorer: Scorer, skipped: Mapping[str, str]) -> Results:
    """Score the clips of a source.

    Parameters
    ----------
    source : ClipsSource
    scorer : Scorer
        Metrics, models, draws and seed.
    skipped : mapping of str to str
        Metrics that are not computed, and why; see :func:`choose_metrics`.
    """
    space = Space(scorer.models)
    scored: dict[str, ScoredSystem] = {}
    others: dict[str, dict[str, Scores]] = {}
    clips: dict[str, VideoClips] = {}
    collapsed: dict[str, CollapseAudit] = {}
    vectors: dict[str, SubjectVectors] = {}
    scores: list[ClipScore] = []
    for name, each in source.subjects(scorer, space):
        found = score_system(scorer, each.true, each.reconstructed, each.baselines, source.system)
        scored[name], clips[name] = _without_pairs(found), each.true
        collapsed[name] = collapse_audit(each.true, each.true.showing(each.reconstructed), space)
        if each.other is not None:
            shown = each.true.showing(each.other)
            others[name] = scorer.score(each.true, shown, pairs=False)
        vectors[name], more = source.vectors(name)
        scores += [ClipScore(each.study, each.subject, *row) for row in (*found.rows, *more)]
    entries = with_q({name: found.entries for name, found in scored.items()})
    own = {name: found.scores for name, found in scored.items()}
    comparison = dict(source.comparisons())
    if others:
        comparison[source.other] = compare_clips(own, others, clips, scorer.options)
    means = over_subjects(own, clips, scorer.options) if len(own) > 1 else {}
    return Results(
        system=source.system,
        metrics=pooled(entries, means),
        subjects={
            name: SubjectResults(entries[name], collapsed[name], vectors[name]) for name in scored
        },
        audit=source.audits(scores, space),
        comparison=comparison,
        skipped_metrics=dict(skipped),
        provenance=source.provenance(scorer.models),
        scores=tuple(scores),
    )


def _without_pairs(found: ScoredSystem) -> ScoredSystem:
    """Drop the scores of all pairs, (clip, clip) for each metric, once chance has been computed."""
    own = {name: replace(each, others=None, blocks=()) for name, each in found.scores.items()}
    return replace(found, scores=own, rows=[])


def choose_metrics(
    options: EvaluationConfig, models: MetricModels, clips: int
) -> tuple[dict[str, type[Metric]], dict[str, str]]:
    """Return the metrics that can be computed, and why the others cannot.

    Parameters
    ----------
    options : EvaluationConfig
        Names the metrics that are wanted.
    models : MetricModels
        The models that are available.
    clips : int
        The smallest number of clips of any subject.

    Raises
    ------
    ConfigError
        When not one metric can be computed.
    """
    skipped = too_few(options.metrics, clips)
    wanted = [name for name in options.metrics if name not in skipped]
    metrics, lacking = usable(wanted, models)
    skipped |= {name: why_skipped(name, models) for name in lacking}
    if not metrics:
        raise ConfigError(
            "no metric can be computed",
            expected="a metric whose models are named and that the clips are enough for",
            found="; ".join(f"{name} {reason}" for name, reason in skipped.items()) or "no metrics",
            where="evaluation.metrics, or --metrics",
        )
    return metrics, skipped


def too_few(names: Sequence[str], clips: int) -> dict[str, str]:
    """Return the metrics that identify one clip among more than there are, each with the reason."""
    ways = {name: re.match(r"(\d+)way-identification@", name) for name in names}
    return {
        name: f"needs {found[1]} clips, and there are {clips}"
        for name, found in ways.items()
        if found is not None and int(found[1]) > clips
    }


def tracked_subjects(names: Sequence[str]) -> Iterator[str]:
    """Yield subjects under a progress bar."""
    return track(names, "evaluate", len(names))
