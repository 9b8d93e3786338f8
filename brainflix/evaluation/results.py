"""What an evaluation found, in one form for the pipeline and for ``brainflix evaluate``.

:class:`Results` is what the page, the tables and the JSON file are made from. The JSON has one
schema with a version number; numbers that are not finite are null in it. Scores of single clips are
in a table of their own (:mod:`brainflix.evaluation.clip_table`).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from brainflix.artifacts.store import read_json, write_json
from brainflix.errors import ArtifactError
from brainflix.evaluation.audits.collapse import CollapseAudit
from brainflix.evaluation.audits.nearness import NearnessAudit
from brainflix.evaluation.audits.splits import DuplicateAudit, SplitAudit
from brainflix.evaluation.audits.volumes import VolumeAudit
from brainflix.evaluation.clip_table import ClipScore
from brainflix.evaluation.origin import Provenance
from brainflix.evaluation.vectors import VectorScores

VERSION = 3  # of the JSON schema; 1 and 2 were written by the pipeline and by `evaluate`
ALPHA = 0.05  # significant: q below it where metrics are tested together, else P
ORACLE = "oracle"
Bounds = tuple[float | None, float | None]


@dataclass(frozen=True)
class Entry:
    """One metric of one system on one set of clips.

    Attributes
    ----------
    value : float or None
        The mean over clips, or the score of the whole set; None in JSON where it is not finite.
    n : int
        Clips that were scored, over all subjects.
    interval : (float, float) or None
        Bootstrapped; None for a score of the whole set.
    chance, p, q : float or None
        Score of random pairings, its one-sided P value, and P after control of the false discovery
        rate; None where pairs are not scored.
    resampled : str
        What the interval draws: "clips", "groups", "subjects and clips"; empty without interval.
    subjects : int
        Over how many subjects this is a mean.
    lower : bool
        Whether less is better.
    baselines : mapping of str to float or None
        Other systems, on the same clips by the same code.
    notes : mapping
        What else is known about these scores, such as how many pairs were sampled.
    """

    value: float | None
    n: int
    interval: Bounds | None = None
    chance: float | None = None
    p: float | None = None
    q: float | None = None
    resampled: str = ""
    subjects: int = 1
    lower: bool = False
    baselines: Mapping[str, float | None] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ceiling(self) -> float | None:
        """What the generator makes of the true vectors, None where nobody made that."""
        return self.baselines.get(ORACLE)

    @property
    def above_chance(self) -> bool | None:
        """Whether the value is better than chance at q < 0.05, None where that was not tested."""
        found = self.p if self.q is None else self.q
        return None if found is None else found < ALPHA

    def reached_by(self, baseline: str) -> bool:
        """Return whether a baseline is at least as good as the system."""
        other = self.baselines.get(baseline)
        if self.value is None or other is None:
            return False
        return other <= self.value if self.lower else other >= self.value


@dataclass(frozen=True)
class Difference:
    """Two systems on the same clips, by one metric.

    Attributes
    ----------
    value, other : float or None
        Mean score of this system and of the other.
    difference : float or None
        Their mean paired difference.
    interval : (float, float) or None
        Bootstrapped.
    p : float or None
        Two-sided, by flipping signs.
    n : int
        Clips.
    better : str
        "this", "other", or "neither" where the interval holds 0 or P is not below 0.05.
    q : float or None
        P after control of the false discovery rate, where metrics are compared together.
    """

    value: float | None
    other: float | None
    difference: float | None
    interval: Bounds | None
    p: float | None
    n: int
    better: str
    q: float | None = None


@dataclass(frozen=True)
class MetricComparison:
    """Two systems by one metric, over all subjects and for each.

    Attributes
    ----------
    pooled : Difference or None
        Over clips, the mean over subjects of each; None where subjects saw different clips.
    subjects : mapping of str to Difference
    vectors : mapping of str to (VectorScores, VectorScores)
        Subject to the vector scores of this system and the other, where vectors are compared.
    """

    pooled: Difference | None
    subjects: Mapping[str, Difference]
    vectors: Mapping[str, tuple[VectorScores, VectorScores]] = field(default_factory=dict)


@dataclass(frozen=True)
class SystemComparison:
    """This system and another on the same clips.

    Attributes
    ----------
    on : str
        What is compared: "clips", or the predicted "vectors".
    metrics : mapping of str to MetricComparison
    """

    on: str
    metrics: Mapping[str, MetricComparison]


@dataclass(frozen=True)
class PredictedVectors:
    """Scores of the vectors that one estimator predicts for one target."""

    averaged: VectorScores
    single: VectorScores | None = None


@dataclass(frozen=True)
class SubjectResults:
    """What was found for one subject.

    Attributes
    ----------
    metrics : mapping of str to Entry
    collapse : CollapseAudit
    vectors : mapping of str to mapping of str to PredictedVectors
        Target to estimator ("network", "ridge") to scores; empty without predictions.
    """

    metrics: Mapping[str, Entry]
    collapse: CollapseAudit
    vectors: Mapping[str, Mapping[str, PredictedVectors]] = field(default_factory=dict)


@dataclass(frozen=True)
class StudyAudits:
    """The audits of one study's clips; None for one that was not made.

    Attributes
    ----------
    split, duplicates, nearest_training, shared_volumes : audit or None
    skipped : mapping of str to str
        Audit to the reason why it was not made.
    """

    split: SplitAudit | None = None
    duplicates: DuplicateAudit | None = None
    nearest_training: NearnessAudit | None = None
    shared_volumes: VolumeAudit | None = None
    skipped: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Results:
    """A finished evaluation.

    Attributes
    ----------
    system : str
        The system that was scored, as the table of clips names it.
    metrics : mapping of str to Entry
        Over all subjects.
    subjects : mapping of str to SubjectResults
        By ``study/subject``, or the subject alone; "" for the only, nameless one.
    audit : mapping of str to StudyAudits
        By study, "" where studies have no names.
    comparison : mapping of str to SystemComparison
        By the other system.
    skipped_metrics : mapping of str to str
        Metric to the reason why it was not computed.
    provenance : Provenance
    scores : tuple of ClipScore
        Scores of single clips; they are not in the JSON.
    """

    system: str
    metrics: Mapping[str, Entry]
    subjects: Mapping[str, SubjectResults]
    audit: Mapping[str, StudyAudits]
    comparison: Mapping[str, SystemComparison]
    skipped_metrics: Mapping[str, str]
    provenance: Provenance
    scores: tuple[ClipScore, ...] = field(default=(), repr=False, compare=False)

    def entries(self, metric: str) -> list[tuple[str, Entry]]:
        """Return each subject's entry of one metric."""
        return [(n, s.metrics[metric]) for n, s in self.subjects.items() if metric in s.metrics]

    @functools.cached_property
    def scores_of(self) -> Mapping[str, Mapping[tuple[str, str], Mapping[str, float]]]:
        """System to (subject, clip) to metric to value."""
        found: dict[str, dict[tuple[str, str], dict[str, float]]] = {}
        for row in self.scores:
            by_clip = found.setdefault(row.system, {})
            by_clip.setdefault((row.name, row.clip), {})[row.metric] = row.value
        return found

    @property
    def confidence(self) -> float:
        """The coverage that intervals aim at, such as 0.95."""
        return float(self.provenance.configuration.get("confidence", 0.95))

    def as_json(self) -> dict[str, Any]:
        """Return all but the scores of single clips as JSON values."""
        content = _adapter().dump_python(self, mode="python", exclude={"scores"})
        return {"version": VERSION, **_finite(content)}

    @classmethod
    def from_json(
        cls, content: Mapping[str, Any], scores: Iterable[ClipScore] = (), where: object = None
    ) -> Results:
        """Return the results that a JSON object describes.

        Raises
        ------
        ArtifactError
            When the object is not of this version, or lacks a part.
        """
        from pydantic import ValidationError

        if content.get("version") != VERSION:
            raise ArtifactError(
                "the results are of another version",
                expected=f"version {VERSION}",
                found=content.get("version", "no version"),
                where=where,
                remedy="run the evaluation again",
            )
        values = {key: value for key, value in content.items() if key != "version"}
        try:
            found = _adapter().validate_python({**values, "scores": ()})
        except ValidationError as error:
            raise ArtifactError(
                "the results cannot be read",
                expected=f"the schema of version {VERSION}",
                found=str(error),
                where=where,
                remedy="run the evaluation again",
            ) from error
        object.__setattr__(found, "scores", tuple(scores))
        return found  # type: ignore[no-any-return]


@functools.cache
def _adapter() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(Results)


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of a results file."""
    schema: dict[str, Any] = _adapter().json_schema()
    schema["properties"].pop("scores")
    schema["properties"]["version"] = {"const": VERSION}
    schema["required"] = ["version", *schema["required"]]
    return schema


def _finite(value: Any) -> Any:
    """Return JSON values in which numbers that are not finite are None."""
    if isinstance(value, Mapping):
        return {str(key): _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def write_results(path: Path, results: Results) -> None:
    """Write results as JSON, whole or not at all."""
    write_json(path, results.as_json())


def read_results(path: Path, scores: Iterable[ClipScore] = ()) -> Results:
    """Read what :func:`write_results` wrote, and attach the scores of single clips."""
    return Results.from_json(read_json(path), scores, where=path)
