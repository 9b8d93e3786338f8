"""Folders of clips, as the evaluator takes them."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from brainflix.clips.clips import VideoClips
from brainflix.clips.store import FrameSource, take
from brainflix.console import announce
from brainflix.evaluation.audits.nearness import (
    Neighbour,
    Space,
    nearest,
    nearness_audit,
    neighbours,
    small_rows,
)
from brainflix.evaluation.audits.splits import DuplicateAudit, duplicates, fingerprints
from brainflix.evaluation.audits.volumes import shared_volumes
from brainflix.evaluation.baselines import (
    FirstFrames,
    grey_clip,
    mean_clip,
    random_training,
    repeated,
)
from brainflix.evaluation.clip_table import ClipScore
from brainflix.evaluation.evaluate import (
    SubjectVectors,
    TestClips,
    choose_metrics,
    evaluate_clips,
)
from brainflix.evaluation.origin import InputFiles, Provenance, provenance_of
from brainflix.evaluation.results import (
    ORACLE,
    Results,
    StudyAudits,
    SystemComparison,
)
from brainflix.evaluation.scoring import Baseline, Scorer
from brainflix.evaluation.standalone.files import combined_digest
from brainflix.evaluation.standalone.loading import LoadedClips, SubjectStores, loaded
from brainflix.evaluation.standalone.request import EvaluationRequest, OpenedClips, open_inputs
from brainflix.metrics.models import MetricModels, load_models
from brainflix.statistics.derangement import derangement

RECONSTRUCTED = "reconstructed"
AGAINST = "against"


@dataclass(frozen=True)
class EvaluatedFolders:
    """A finished evaluation, with the clips for as long as the block of :func:`evaluated` lasts.

    Attributes
    ----------
    results : Results
    opened : OpenedClips
        Where the clips come from.
    clips : LoadedClips
        Their frames.
    """

    results: Results
    opened: OpenedClips
    clips: LoadedClips


@contextlib.contextmanager
def evaluated(request: EvaluationRequest) -> Iterator[EvaluatedFolders]:
    """Evaluate, and keep the frames available while the block lasts.

    Raises
    ------
    BrainflixError
        Where the clips, the tables or the models cannot be used.
    """
    opened = open_inputs(request)
    announce(
        "evaluate",
        f"reads {len(opened.pairing.pairs)} pairs, by {opened.pairing.rule}, from "
        f"{opened.true.where} and {opened.reconstructed.where}",
    )
    models = load_models(request.options)
    fewest = min(Counter(pair.subject for pair in opened.pairing.pairs).values())
    metrics, skipped = choose_metrics(request.options, models, fewest)
    scorer = Scorer(metrics, models, request.options)
    with loaded(opened, request) as clips:
        source = FolderSource(request, opened, clips)
        yield EvaluatedFolders(evaluate_clips(source, scorer, skipped), opened, clips)


class FolderSource:
    """Clips from folders, for the evaluator.

    Parameters
    ----------
    request : EvaluationRequest
    opened : OpenedClips
    clips : LoadedClips
    """

    system = RECONSTRUCTED

    def __init__(self, request: EvaluationRequest, opened: OpenedClips, clips: LoadedClips) -> None:
        self.request, self.opened, self.clips = request, opened, clips
        self.other = request.against or ""
        self.training: VideoClips | None = None
        if clips.training is not None and len(clips.training) > 1:
            self.training = VideoClips(clips.training, clips.training_ids, clips.training_ids)

    def subjects(self, scorer: Scorer, space: Space) -> Iterator[tuple[str, TestClips]]:
        """Yield each subject's clips with the baselines that can be made from them."""
        for name, each in self.clips.subjects.items():
            yield (
                name,
                TestClips(
                    study="",
                    subject=name,
                    true=each.true,
                    reconstructed=each.predicted,
                    baselines=self._baselines(each, space),
                    other=each.others.get(AGAINST),
                ),
            )

    def _baselines(self, each: SubjectStores, space: Space) -> dict[str, Baseline]:
        n, shape, seed = len(each.true), each.true.frames.shape[1:], self.request.options.seed
        found: dict[str, Baseline] = {
            "grey": repeated(grey_clip(shape), n),
            "still_first_frame": FirstFrames(each.predicted),
            "shuffled": take(each.predicted, derangement(n, seed)),
        }
        if self.training is not None:
            store: FrameSource = self.training.frames
            made = each.true.showing(each.predicted)
            places, _ = nearest(space.rows(made), space.rows(self.training), space.name)
            found |= {
                "mean_training_clip": repeated(mean_clip(store, np.arange(len(store))), n),
                "random_training_clip": take(store, random_training(n, len(store), seed)),
                "nearest_training_clip": take(store, places),
            }
        if ORACLE in each.others:
            found[ORACLE] = each.others[ORACLE]
        return found

    def vectors(self, name: str) -> tuple[SubjectVectors, Sequence[tuple[str, str, str, float]]]:
        """Return nothing: folders hold clips alone."""
        return {}, ()

    def comparisons(self) -> Mapping[str, SystemComparison]:
        """Return nothing: the other system's clips are compared by the evaluator."""
        return {}

    def audits(self, scores: Sequence[ClipScore], space: Space) -> dict[str, StudyAudits]:
        """Return whether clips occur twice, how near training clips lie, and shared volumes."""
        near, skipped = None, {}
        if self.training is None:
            skipped["nearest_training"] = "no training clips: name two or more with --training"
        else:
            found: dict[str, Neighbour] = {}
            training = self.training.ids, space.rows(self.training)
            for each in self.clips.subjects.values():
                test = each.true.ids, space.rows(each.true)
                found |= neighbours(test, training, space.name)
            near = nearness_audit(found, len(self.training), space.name, scores, self.system)
        windows = self.opened.windows
        return {
            "": StudyAudits(
                duplicates=self._duplicates(),
                nearest_training=near,
                shared_volumes=shared_volumes(windows) if windows else None,
                skipped=skipped,
            )
        }

    def _duplicates(self) -> DuplicateAudit:
        """Look for the same clip twice among true clips and training clips."""
        sets: list[tuple[str, tuple[str, ...], FrameSource]] = [
            ("test", self.clips.distinct_names, self.clips.distinct)
        ]
        if self.training is not None:
            sets.append(("train", self.training.ids, self.training.frames))
        names = [name for _, found, _ in sets for name in found]
        splits = [split for split, found, _ in sets for _ in found]
        prints = [fingerprints(frames, small_rows) for *_, frames in sets]
        exact = [digest for found, _ in prints for digest in found]
        return duplicates(names, splits, exact, np.concatenate([rows for _, rows in prints]))

    def provenance(self, models: MetricModels) -> Provenance:
        """Return what was asked for, the rules that were applied, and digests of the files."""
        opened = self.opened
        options = {k: v for k, v in asdict(self.request).items() if k != "options"}
        inputs = {
            role: InputFiles(
                where=found.where,
                digest=combined_digest(found.files),
                clips=len(found),
                files=len(found.files),
                ignored=tuple(found.ignored),
            )
            for role, found in opened.places.items()
        }
        rules = {
            **self.clips.plan.record,
            "pairing": opened.pairing.record(),
            "groups": {"column": opened.group_column, "groups": len(set(opened.groups))},
        }
        plain = {
            name: value if isinstance(value, bool | int | str | None) else str(value)
            for name, value in options.items()
        }
        return provenance_of(
            __name__, self.request.options, models, inputs, options=plain, rules=rules
        )
