"""The stage ``evaluate``: an experiment's videos in, metrics.json and clips.parquet out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from brainflix.artifacts.predictions import (
    NETWORK,
    RIDGE,
    Predictions,
    Vectors,
    read_target_rows,
)
from brainflix.artifacts.store import file_digest, open_artifact, read_strings
from brainflix.artifacts.videos import read_video_ids, read_videos
from brainflix.config.recipe import EvaluationConfig
from brainflix.console import announce
from brainflix.errors import DataError
from brainflix.evaluation.audits.nearness import (
    NearnessAudit,
    Space,
    nearness_audit,
    neighbours,
)
from brainflix.evaluation.clip_table import ClipScore, write_parquet
from brainflix.evaluation.comparison import compare_vectors
from brainflix.evaluation.evaluate import (
    SubjectVectors,
    TestClips,
    choose_metrics,
    evaluate_clips,
    tracked_subjects,
)
from brainflix.evaluation.origin import InputFiles, Provenance, provenance_of
from brainflix.evaluation.results import (
    PredictedVectors,
    Results,
    StudyAudits,
    SystemComparison,
    write_results,
)
from brainflix.evaluation.scoring import Baseline, Scorer
from brainflix.evaluation.study import StudyClips, read_study
from brainflix.evaluation.vectors import vector_identification, vector_metric, vector_scores
from brainflix.evaluation.wording import number
from brainflix.metrics.models import MetricModels, load_models
from brainflix.statistics.chance import Scores

Targets = dict[str, dict[str, Path]]
AUDIT_TARGET = "clip_image"


def evaluate(
    videos: dict[str, Path],
    stimuli: dict[str, Path],
    predictions: Path,
    targets: Targets,
    options: EvaluationConfig,
    out: Path,
    compare: Path | None = None,
) -> None:
    """Measure an experiment's reconstructions, with chance, baselines and ceiling.

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
    source = ExperimentSource(videos, stimuli, predictions, targets, options, compare)
    models = load_models(options)
    metrics, skipped = choose_metrics(options, models, source.fewest_clips())
    results = evaluate_clips(source, Scorer(metrics, models, options), skipped)
    write_parquet(out / "clips.parquet", results.scores)
    write_results(out / "metrics.json", results)
    announce("evaluate", f"writes {out / 'metrics.json'}: {_headline(results)}")


def _headline(results: Results) -> str:
    name = "identification@clip"
    count = f"{len(results.subjects)} subjects"
    if name not in results.metrics:
        return count
    return f"identification in CLIP space {number(results.metrics[name].value)} over {count}"


class ExperimentSource:
    """The artifacts of an experiment, as the evaluator takes them.

    Parameters
    ----------
    videos, stimuli, predictions, targets, options, compare
        See :func:`evaluate`.
    """

    system = NETWORK
    other = ""

    def __init__(
        self,
        videos: Mapping[str, Path],
        stimuli: Mapping[str, Path],
        predictions: Path,
        targets: Targets,
        options: EvaluationConfig,
        compare: Path | None = None,
    ) -> None:
        if not videos:
            raise DataError("no videos to evaluate", expected="at least one subject", found=0)
        self.videos, self.stimuli, self.targets = videos, stimuli, targets
        self.options, self.compare = options, compare
        self.predictions = Predictions(predictions, targets)
        names = dict.fromkeys(name.partition("/")[0] for name in videos)
        self.studies = {study: read_study(stimuli[study]) for study in names}

    def fewest_clips(self) -> int:
        """Return the smallest number of clips of any subject."""
        return min(len(read_video_ids(path)) for path in self.videos.values())

    def subjects(self, scorer: Scorer, space: Space) -> Iterator[tuple[str, TestClips]]:
        """Yield each subject's clips; subjects with the same clips share their constants."""
        constants: dict[tuple[str, ...], dict[str, dict[str, Scores]]] = {}
        for name in tracked_subjects([*self.videos]):
            path = self.videos[name]
            study, _, subject = name.partition("/")
            ids, systems = read_videos(path)
            clips = self.studies[study]
            true = clips.subset(ids, where=path)
            if (study, *ids) not in constants:
                constants[study, *ids] = scorer.constants(true, clips.mean_training_clip)
            baselines: dict[str, Baseline] = dict(constants[study, *ids])
            baselines |= {key: frames for key, frames in systems.items() if key != NETWORK}
            yield name, TestClips(study, subject, true, systems[NETWORK], baselines)

    def vectors(self, name: str) -> tuple[SubjectVectors, list[tuple[str, str, str, float]]]:
        """Score a subject's predicted vectors: averaged over repeats, and single trials."""
        entries: dict[str, dict[str, PredictedVectors]] = {}
        rows = []
        for target in self.targets[name.partition("/")[0]]:
            for estimator in (NETWORK, RIDGE):
                vectors = self.predictions.read(name, estimator, target)
                if vectors is None:
                    continue
                entries.setdefault(target, {})[estimator] = _predicted(vectors)
                scores = vector_identification(vectors.averaged, vectors.true)
                rows += [
                    (clip, vector_metric(target), estimator, float(value))
                    for clip, value in zip(vectors.ids, scores, strict=True)
                ]
        return entries, rows

    def comparisons(self) -> dict[str, SystemComparison]:
        """Compare the network with ridge, and with another experiment's network."""
        groups = {
            study: dict(zip(found.test.ids, found.test.groups, strict=True))
            for study, found in self.studies.items()
        }

        @cache
        def network(name: str, target: str) -> Vectors | None:
            return self.predictions.read(name, NETWORK, target)

        readers = {RIDGE: lambda name, target: self.predictions.read(name, RIDGE, target)}
        if self.compare is not None:
            other = Predictions(self.compare, self.targets)
            experiment = self.compare.parent.parent.name
            readers[experiment] = lambda name, target: other.read(name, NETWORK, target)
        found = {
            system: compare_vectors(
                network, reader, [*self.videos], self.targets, groups, self.options
            )
            for system, reader in readers.items()
        }
        return {system: compared for system, compared in found.items() if compared.metrics}

    def audits(self, scores: Sequence[ClipScore], space: Space) -> dict[str, StudyAudits]:
        """Return whether each study's splits are separate, and how near its test clips lie."""
        audits = {}
        for study, clips in self.studies.items():
            near = self._nearness(study, clips, [row for row in scores if row.study == study])
            skipped = {} if near else {"nearest_training": f"no target {AUDIT_TARGET} of all clips"}
            audits[study] = StudyAudits(clips.audit, nearest_training=near, skipped=skipped)
        return audits

    def _nearness(
        self, study: str, clips: StudyClips, scores: Sequence[ClipScore]
    ) -> NearnessAudit | None:
        path = self.targets.get(study, {}).get(AUDIT_TARGET)
        if path is None:
            return None
        with open_artifact(path, "target") as file:
            known = set(read_strings(file["clip"]))
        if not known >= {*clips.train_ids, *clips.test.ids}:
            return None
        found = neighbours(
            (clips.test.ids, read_target_rows(path, clips.test.ids)),
            (clips.train_ids, read_target_rows(path, clips.train_ids)),
            AUDIT_TARGET,
        )
        return nearness_audit(found, len(clips.train_ids), AUDIT_TARGET, scores, NETWORK)

    def provenance(self, models: MetricModels) -> Provenance:
        """Return what was run on which artifacts."""
        paths = {f"videos/{name}": path for name, path in self.videos.items()}
        paths |= {f"stimuli/{name}": path for name, path in self.stimuli.items()}
        paths["predictions"] = self.predictions.path
        for study, named in self.targets.items():
            paths |= {f"targets/{study}/{name}": path for name, path in named.items()}
        if self.compare is not None:
            paths["compare"] = self.compare
        inputs = {name: InputFiles(str(path), file_digest(path)) for name, path in paths.items()}
        return provenance_of(__name__, self.options, models, inputs)


def _predicted(vectors: Vectors) -> PredictedVectors:
    single = None
    if vectors.single is not None and vectors.single_clip is not None:
        single = vector_scores(vectors.single, vectors.true, vectors.single_clip)
    return PredictedVectors(vector_scores(vectors.averaged, vectors.true), single)
