"""The stage ``evaluate``: reconstructions in, metrics.json and clips.parquet out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from brainflix import __version__
from brainflix.artifacts.predictions import NETWORK, RIDGE, Predictions, Vectors, read_target
from brainflix.artifacts.store import (
    atomic_path,
    file_digest,
    open_artifact,
    read_strings,
    write_json,
)
from brainflix.artifacts.videos import read_videos
from brainflix.config.recipe import EvaluationConfig
from brainflix.console import announce, track
from brainflix.errors import DataError
from brainflix.evaluation.audit import Space, collapse_audit, nearest_training, similarity_effect
from brainflix.evaluation.comparison import compare_systems
from brainflix.evaluation.scoring import Scorer, add_q, score_subject
from brainflix.evaluation.study import StudyClips, read_study
from brainflix.evaluation.vectors import vector_identification, vector_scores
from brainflix.metrics.catalogue import usable
from brainflix.metrics.models import load_models as load_judges
from brainflix.provenance import code_digest

Targets = dict[str, dict[str, Path]]
AUDIT_TARGET = "clip_image"
_COLUMNS = ("study", "subject", "clip", "metric", "variant", "value")


def evaluate(
    videos: dict[str, Path],
    stimuli: dict[str, Path],
    predictions: Path,
    targets: Targets,
    options: EvaluationConfig,
    out: Path,
    compare: Path | None = None,
) -> None:
    """Measure an experiment's reconstructions, beside chance, baselines and ceiling.

    Parameters
    ----------
    videos : dict of str to Path
        ``study/subject`` to "videos" artifact.
    stimuli : dict of str to Path
        Study to "stimuli" artifact.
    predictions : Path
        The experiment's "predictions" artifact.
    targets : dict of str to dict of str to Path
        Study to target to "target" artifact.
    options : EvaluationConfig
        Metrics, models, draws and seed.
    out : Path
        A folder; metrics.json and clips.parquet are written there.
    compare : Path, optional
        The "predictions" artifact of another experiment on the same test clips.
    """
    announce("evaluate", f"reads the videos of {len(videos)} subjects and {predictions}")
    judges = load_judges(options)
    metrics, skipped = usable(options.metrics, judges)
    scorer, space = Scorer(metrics, judges, options), Space(judges)
    studies = {study: read_study(stimuli[study]) for study in _studies(videos)}
    ours = Predictions(predictions, targets)
    subjects, rows = {}, []
    constants: dict[tuple[str, ...], Any] = {}
    for name, path in track(videos.items(), "evaluate", len(videos)):
        study, _, subject = name.partition("/")
        ids, variants = read_videos(path)
        true = studies[study].subset(ids, where=path)
        if (study, *ids) not in constants:
            fixed = scorer.constants(true, studies[study].mean_training_clip)
            constants[(study, *ids)] = fixed
        scored = score_subject(scorer, true, variants, constants[(study, *ids)])
        vectors, more = _vector_entries(ours, name, targets[study])
        subjects[name] = {
            "metrics": scored.entries,
            "vectors": vectors,
            "collapse": collapse_audit(true, true.showing(variants[NETWORK]), space),
        }
        rows += [(study, subject, *row) for row in [*scored.rows, *more]]
    add_q({name: content["metrics"] for name, content in subjects.items()})
    content = {
        "subjects": subjects,
        "comparison": _comparisons(ours, compare, targets, studies, [*videos], options),
        "audit": {
            study: {**found.audit, **_nearness(study, found, targets, rows)}
            for study, found in studies.items()
        },
        "provenance": {
            "package_version": __version__,
            "code": code_digest(__name__),
            "configuration": options.model_dump(mode="json"),
            "seed": options.seed,
            "models": dict(judges.names),
            "skipped_metrics": skipped,
            "inputs": _digests(videos, stimuli, predictions, targets, compare),
        },
    }
    _write(out, content, rows)
    announce("evaluate", f"leaves {out / 'metrics.json'}: {_headline(subjects)}")


def _studies(videos: Mapping[str, Path]) -> list[str]:
    if not videos:
        raise DataError("no videos to evaluate", expected="at least one subject", found=0)
    return list(dict.fromkeys(name.partition("/")[0] for name in videos))


def _vector_entries(
    predictions: Predictions, name: str, targets: Mapping[str, Path]
) -> tuple[dict[str, Any], list[tuple[str, str, str, float]]]:
    """Score a subject's predicted vectors: averaged over repeats, and single trials."""
    entries: dict[str, Any] = {}
    rows = []
    for target in targets:
        for estimator in (NETWORK, RIDGE):
            vectors = predictions.read(name, estimator, target)
            if vectors is None:
                continue
            found: dict[str, Any] = {"averaged": vector_scores(vectors.averaged, vectors.true)}
            if vectors.single is not None and vectors.single_clip is not None:
                found["single"] = vector_scores(vectors.single, vectors.true, vectors.single_clip)
            entries.setdefault(target, {})[estimator] = found
            scores = vector_identification(vectors.averaged, vectors.true)
            metric = f"identification@vector:{target}"
            rows += [
                (clip, metric, estimator, float(value))
                for clip, value in zip(vectors.ids, scores, strict=True)
            ]
    return entries, rows


def _comparisons(
    ours: Predictions,
    compare: Path | None,
    targets: Targets,
    studies: Mapping[str, StudyClips],
    subjects: Sequence[str],
    options: EvaluationConfig,
) -> dict[str, Any]:
    """Set the network beside ridge, and beside another experiment's network."""
    groups = {
        study: dict(zip(found.test.ids, found.test.groups, strict=True))
        for study, found in studies.items()
    }

    @cache
    def network(name: str, target: str) -> Vectors | None:
        return ours.read(name, NETWORK, target)

    rivals = {RIDGE: lambda name, target: ours.read(name, RIDGE, target)}
    if compare is not None:
        other = Predictions(compare, targets)
        rivals[compare.parent.parent.name] = lambda name, target: other.read(name, NETWORK, target)
    found = {
        rival: compare_systems(network, reader, subjects, targets, groups, options)
        for rival, reader in rivals.items()
    }
    return {rival: content for rival, content in found.items() if content}


def _nearness(
    study: str, found: StudyClips, targets: Targets, rows: Sequence[tuple[Any, ...]]
) -> dict[str, Any]:
    """Return how near test clips lie to training clips, and whether scores depend on it."""
    path = targets.get(study, {}).get(AUDIT_TARGET)
    if path is None:
        return {}
    with open_artifact(path, "target") as file:
        known = set(read_strings(file["clip"]))
    if not known >= {*found.train_ids, *found.test.ids}:
        return {}
    similarity = nearest_training(
        read_target(path, found.test.ids), read_target(path, found.train_ids)
    )
    place = {clip: k for k, clip in enumerate(found.test.ids)}
    scores: list[list[float]] = [[] for _ in place]
    for row_study, _, clip, metric, variant, value in rows:
        if (row_study, metric, variant) == (study, "identification@clip", NETWORK):
            scores[place[clip]].append(value)
    seen = np.array([bool(s) for s in scores])
    means = np.array([np.mean(s) for s in scores if s])
    rho = similarity_effect(similarity[seen], means) if seen.sum() > 2 else None
    return {
        "nearest_training_similarity": {
            "target": AUDIT_TARGET,
            "median": float(np.median(similarity)),
            "max": float(similarity.max()),
            "rank_correlation_with_identification": rho,
        }
    }


def _digests(
    videos: Mapping[str, Path],
    stimuli: Mapping[str, Path],
    predictions: Path,
    targets: Targets,
    compare: Path | None,
) -> dict[str, str]:
    paths = [*videos.values(), *stimuli.values(), predictions]
    paths += [path for named in targets.values() for path in named.values()]
    paths += [] if compare is None else [compare]
    return {str(path): file_digest(path) for path in paths}


def _write(out: Path, content: dict[str, Any], rows: Sequence[tuple[Any, ...]]) -> None:
    import pandas as pd

    table = pd.DataFrame(list(rows), columns=list(_COLUMNS))
    with atomic_path(out / "clips.parquet") as temporary:
        table.to_parquet(temporary, index=False)
    write_json(out / "metrics.json", content)


def _headline(subjects: Mapping[str, Any]) -> str:
    name = "identification@clip"
    values = [s["metrics"][name]["value"] for s in subjects.values() if name in s["metrics"]]
    if not values:
        return f"{len(subjects)} subjects"
    return f"identification in CLIP space {np.mean(values):.3f} over {len(values)} subjects"
