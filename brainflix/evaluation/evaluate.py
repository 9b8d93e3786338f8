"""Evaluate reconstructions from anywhere: two folders in, every number and its context out.

The stage of the pipeline (:mod:`brainflix.evaluation.stage`) and this share metrics, statistics and
audits; they differ in what they read.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from brainflix import __version__
from brainflix.clips.clips import VideoClips as Clips
from brainflix.clips.store import FrameSource, take
from brainflix.console import announce
from brainflix.errors import ConfigError
from brainflix.evaluation.audit import (
    Space,
    collapse_audit,
    duplicates,
    effects,
    fingerprints,
    nearest,
    shared_volumes,
    small_rows,
)
from brainflix.evaluation.baselines import (
    FirstFrames,
    grey_clip,
    mean_clip,
    random_training,
    repeated,
)
from brainflix.evaluation.scoring import (
    Scored,
    Scorer,
    add_q,
    over_subjects,
    paired,
    score_system,
)
from brainflix.evaluation.standalone.files import combined_digest
from brainflix.evaluation.standalone.loading import Loaded, SubjectClips, loaded
from brainflix.evaluation.standalone.request import Inputs, Request, open_inputs
from brainflix.metrics.catalogue import usable, why_skipped
from brainflix.metrics.models import load_models as load_judges
from brainflix.provenance import code_digest
from brainflix.statistics.chance import Scores
from brainflix.statistics.derangement import derangement

RECONSTRUCTED = "reconstructed"
Row = tuple[str, str, str, str, float]  # subject, clip, metric, variant, value
COLUMNS = ("subject", "clip", "metric", "variant", "value")
_LIBRARIES = ("numpy", "scipy", "av", "pillow", "h5py")
_MODEL_LIBRARIES = ("torch", "transformers")


@dataclass(frozen=True)
class Evaluation:
    """A finished evaluation.

    Attributes
    ----------
    content : dict
        What goes into the JSON file.
    rows : tuple of tuple
        Subject, clip, metric, variant and value.
    subjects : dict of str to SubjectClips
        The frames, for as long as the block of :func:`evaluated` lasts.
    similarity : dict of str to float
        Clip to the similarity of its nearest training clip; empty without training clips.
    """

    content: dict[str, Any]
    rows: tuple[Row, ...]
    subjects: Mapping[str, SubjectClips]
    similarity: Mapping[str, float]


@contextlib.contextmanager
def evaluated(request: Request) -> Iterator[Evaluation]:
    """Evaluate, and keep the frames at hand while the block lasts.

    Raises
    ------
    BrainflixError
        Where the clips, the tables or the models cannot be used.
    """
    inputs = open_inputs(request)
    announce(
        "evaluate",
        f"reads {len(inputs.pairing.pairs)} pairs, by {inputs.pairing.rule}, from "
        f"{inputs.true.where} and {inputs.reconstructed.where}",
    )
    judges = load_judges(request.options)
    fewest = min(Counter(pair.subject for pair in inputs.pairing.pairs).values())
    skipped = too_few(request.options.metrics, fewest)
    wanted = [name for name in request.options.metrics if name not in skipped]
    metrics, lacking = usable(wanted, judges)
    skipped |= {name: why_skipped(name, judges) for name in lacking}
    if not metrics:
        raise ConfigError(
            "no metric can be computed",
            found="; ".join(f"{name} {reason}" for name, reason in skipped.items()),
            where="--metrics",
        )
    scorer = Scorer(metrics, judges, request.options)
    with loaded(inputs, request) as clips:
        yield _evaluate(request, inputs, clips, scorer, skipped)


def too_few(names: Sequence[str], clips: int) -> dict[str, str]:
    """Return the metrics that identify one clip among more than there are, and that in words."""
    ways = {name: re.match(r"(\d+)way-identification@", name) for name in names}
    return {
        name: f"needs {found[1]} clips, and there are {clips}"
        for name, found in ways.items()
        if found is not None and int(found[1]) > clips
    }


def _evaluate(
    request: Request, inputs: Inputs, clips: Loaded, scorer: Scorer, skipped: Mapping[str, str]
) -> Evaluation:
    space = Space(scorer.judges)
    training = _training_clips(clips)
    made = {name: each.true.showing(each.predicted) for name, each in clips.subjects.items()}
    scored = {
        name: score_system(
            scorer,
            each.true,
            each.predicted,
            _baselines(each, made[name], training, space, request.options.seed),
            variant=RECONSTRUCTED,
        )
        for name, each in clips.subjects.items()
    }
    rows = tuple((name, *row) for name, found in scored.items() for row in found.rows)
    similarity, near = _nearness(clips, training, space)
    content = {
        **_entries(scored, clips, scorer),
        "audit": {
            "nearest_training": near
            | (
                {"rank_correlation": effects(similarity, _plain(rows), RECONSTRUCTED)}
                if similarity
                else {}
            ),
            "duplicates": _duplicates(clips, training),
            "collapse": {
                name: collapse_audit(each.true, made[name], space)
                for name, each in clips.subjects.items()
            },
            **({"shared_volumes": shared_volumes(inputs.windows)} if inputs.windows else {}),
        },
        "skipped_metrics": dict(skipped),
        "provenance": _provenance(request, inputs, clips, scorer),
    }
    if request.against is not None:
        content["comparison"] = _compared(request, clips, scored, scorer)
    return Evaluation(content, rows, clips.subjects, similarity)


def _training_clips(clips: Loaded) -> Clips | None:
    if clips.training is None or len(clips.training) < 2:
        return None
    return Clips(clips.training, clips.training_ids, clips.training_ids)


def _baselines(
    each: SubjectClips, made: Clips, training: Clips | None, space: Space, seed: int
) -> dict[str, FrameSource]:
    """Return the frames of everything that is scored beside the reconstructions."""
    n, shape = len(each.true), each.true.frames.shape[1:]
    found: dict[str, FrameSource] = {
        "grey": repeated(grey_clip(shape), n),
        "still_first_frame": FirstFrames(each.predicted),
        "shuffled": take(each.predicted, derangement(n, seed)),
    }
    if training is not None:
        store = training.frames
        places, _ = nearest(space.rows(made), space.rows(training), space.name)
        found |= {
            "mean_training_clip": repeated(mean_clip(store, np.arange(len(store))), n),
            "random_training_clip": take(store, random_training(n, len(store), seed)),
            "nearest_training_clip": take(store, places),
        }
    if "oracle" in each.others:
        found["oracle"] = each.others["oracle"]
    return found


def _entries(
    scored: Mapping[str, Scored], clips: Loaded, scorer: Scorer
) -> dict[str, dict[str, Any]]:
    """Return the metrics of the only subject, or of each with those over all of them."""
    entries = {name: found.entries for name, found in scored.items()}
    add_q(entries)
    if len(entries) == 1:
        ((name, only),) = entries.items()
        return {"metrics": only} | ({"subjects": {name: {"metrics": only}}} if name else {})
    return {
        "metrics": _pooled(scored, clips, scorer),
        "subjects": {name: {"metrics": found} for name, found in entries.items()},
    }


def _pooled(
    scored: Mapping[str, Scored], clips: Loaded, scorer: Scorer
) -> dict[str, dict[str, Any]]:
    """Return every metric over subjects: the interval resamples them and their clips.

    Chance and baselines are means over subjects. P and q are the largest of any subject's: that
    of "above chance in every subject".
    """
    over = over_subjects(
        {name: found.scores for name, found in scored.items()},
        {name: each.true for name, each in clips.subjects.items()},
        scorer.options,
    )
    pooled = {}
    for metric in next(iter(scored.values())).entries:
        each = [found.entries[metric] for found in scored.values() if metric in found.entries]
        names = dict.fromkeys(name for entry in each for name in entry["baselines"])
        pooled[metric] = {
            "value": _mean(entry["value"] for entry in each),
            "interval": None,
            "subjects": len(each),
            **over.get(metric, {}),
            "n": sum(entry["n"] for entry in each),
            "chance": _mean(entry["chance"] for entry in each),
            "p": _largest(entry["p"] for entry in each),
            "q": _largest(entry.get("q") for entry in each),
            "p_is": "the largest of any subject's",
            "baselines": {
                name: _mean(entry["baselines"].get(name) for entry in each) for name in names
            },
        }
    return pooled


def _mean(values: Iterator[float | None]) -> float | None:
    found = [*values]
    known = [value for value in found if value is not None]
    return float(np.mean(known)) if len(known) == len(found) else None


def _largest(values: Iterator[float | None]) -> float | None:
    found = [*values]
    known = [value for value in found if value is not None]
    return max(known) if known and len(known) == len(found) else None


def _plain(rows: tuple[Row, ...]) -> Iterator[tuple[str, str, str, float]]:
    return (row[1:] for row in rows)


def _nearness(
    clips: Loaded, training: Clips | None, space: Space
) -> tuple[dict[str, float], dict[str, Any]]:
    """Return how near each clip lies to training clips, and the same as JSON values."""
    if training is None:
        return {}, {"skipped": "no training clips: name two or more with --training"}
    similarity: dict[str, float] = {}
    neighbour: dict[str, str] = {}
    for each in clips.subjects.values():
        places, similar = nearest(space.rows(each.true), space.rows(training), space.name)
        similarity |= dict(zip(each.true.ids, similar.tolist(), strict=True))
        neighbour |= dict(
            zip(each.true.ids, [training.ids[k] for k in places.tolist()], strict=True)
        )
    values = np.array([*similarity.values()])
    return similarity, {
        "space": space.name,
        "training_clips": len(training),
        "median": float(np.median(values)),
        "max": float(values.max()),
        "clips": {
            clip: {"nearest": neighbour[clip], "similarity": value}
            for clip, value in similarity.items()
        },
    }


def _duplicates(clips: Loaded, training: Clips | None) -> dict[str, Any]:
    """Look for the same clip twice among true clips and training clips."""
    sets: list[tuple[str, tuple[str, ...], FrameSource]] = [
        ("test", clips.distinct_names, clips.distinct)
    ]
    if training is not None:
        sets.append(("train", training.ids, training.frames))
    names = [name for _, found, _ in sets for name in found]
    splits = [split for split, found, _ in sets for _ in found]
    prints = [fingerprints(frames, small_rows) for *_, frames in sets]
    exact = [digest for found, _ in prints for digest in found]
    small = np.concatenate([rows for _, rows in prints])
    return duplicates(names, splits, exact, small)


def _compared(
    request: Request, clips: Loaded, scored: Mapping[str, Scored], scorer: Scorer
) -> dict[str, Any]:
    """Set the reconstructions beside another system's of the same clips, a metric at a time.

    Several subjects who saw the same clips are compared each, and by their means over subjects.
    """
    ours, theirs = {name: found.scores for name, found in scored.items()}, {}
    for name, each in clips.subjects.items():
        other = each.true.showing(each.others["against"])
        theirs[name] = scorer.score(each.true, other, pairs=False)
    subjects = {
        name: paired(ours[name], theirs[name], each.true, scorer.options)
        for name, each in clips.subjects.items()
    }
    first = next(iter(clips.subjects.values())).true
    found: dict[str, Any] = {"other": request.against}
    if all(each.true is first for each in clips.subjects.values()):
        mean, other_mean = (_mean_scores([*every.values()]) for every in (ours, theirs))
        found["metrics"] = paired(mean, other_mean, first, scorer.options)
    return found | ({"subjects": subjects} if len(subjects) > 1 else {})


def _mean_scores(subjects: Sequence[Mapping[str, Scores]]) -> dict[str, Scores]:
    """Return each clip's mean score over subjects, of the metrics that score every clip."""
    found = {}
    for metric, scores in subjects[0].items():
        each = [of[metric] for of in subjects if metric in of]
        whole = len(each) == len(subjects) and all(one.rows is None for one in each)
        if len(subjects) == 1 or (whole and all(len(one.own) for one in each)):
            own = np.mean([one.own for one in each], axis=0)
            found[metric] = replace(scores, own=own, others=None, blocks=())
    return found


def _provenance(request: Request, inputs: Inputs, clips: Loaded, scorer: Scorer) -> dict[str, Any]:
    options = asdict(request) | {"options": request.options.model_dump(mode="json")}
    libraries = [*_LIBRARIES, *(_MODEL_LIBRARIES if scorer.judges.names else ())]
    return {
        "package_version": __version__,
        "code": code_digest(__name__),
        "python": ".".join(str(part) for part in sys.version_info[:3]),
        "libraries": {name: found for name in libraries if (found := _version(name))},
        "seed": request.options.seed,
        "configuration": options.pop("options"),
        "options": {
            name: value if isinstance(value, bool | int | str | None) else str(value)
            for name, value in options.items()
        },
        "rules": {
            **clips.plan.record,
            "pairing": inputs.pairing.record(),
            "groups": {"column": inputs.group_column, "groups": len(set(inputs.groups))},
        },
        "models": dict(scorer.judges.names),
        "files": {
            role: {
                "where": found.where,
                "clips": len(found),
                "files": len(found.files),
                "digest": combined_digest(found.files),
                "ignored": [*found.ignored],
            }
            for role, found in inputs.places.items()
        },
    }


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None
