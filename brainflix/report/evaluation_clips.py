"""The clips of an evaluation: the best, the worst and a random sample, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from brainflix.clips.clips import even_frames
from brainflix.evaluation.evaluate import RECONSTRUCTED, Evaluation
from brainflix.evaluation.output import metric_order
from brainflix.report.drawing.filmstrips import Choice, Frames, choose_clips, encode_strips, fit
from brainflix.report.evaluation_scores import by_metric, flat, unit_value
from brainflix.report.evaluation_words import better_of
from brainflix.report.html import Markup, element
from brainflix.report.page import pause_switch
from brainflix.report.words import note

BUDGET = 6_500_000  # characters of all strips
SHOWN_SUBJECTS = 6
_SECONDS = 2.0
_RANKING = ("identification@clip", "identification@pixel", "ssim@rgb", "psnr")
_NUMBERS = 6  # scores below a clip
_FRAMES, _SIDE = 48, 256  # at most, of a clip that plays
_LABELS = {"shown": "true", "against": "the other"}


def section(found: Evaluation) -> Markup:
    """Return the gallery, a subject at a time."""
    scores = by_subject(found)
    metric = ranking(found)
    names = [*found.subjects][:SHOWN_SUBJECTS]
    choices = {name: _choice(found, name, metric, scores) for name in names}
    clips = {
        (name, k, variant): clip
        for name, choice in choices.items()
        for k in sorted({*choice.random, *choice.best, *choice.worst})
        for variant, clip in _variants(found, name, k).items()
    }
    urls = encode_strips(clips, BUDGET)
    parts = [
        _subject(found, name, choices[name], metric, clips, urls, scores, opened=i == 0)
        for i, name in enumerate(names)
    ]
    return element(
        "section",
        element("h2", "Clips"),
        element(
            "p",
            "The true clip, beside it the reconstruction. The random sample depends on the seed "
            "alone; look at it before the best.",
        ),
        pause_switch(),
        parts,
        id="reconstructions",
    )


def by_subject(found: Evaluation) -> dict[tuple[str, str], dict[str, float]]:
    """Return the reconstructions' scores: subject and clip to metric to value."""
    scores: dict[tuple[str, str], dict[str, float]] = {}
    for subject, clip, metric, variant, value in found.rows:
        if variant == RECONSTRUCTED:
            scores.setdefault((subject, clip), {})[metric] = value
    return scores


def ranking(found: Evaluation) -> str | None:
    """Return the metric by which clips are best and worst: the first that tells them apart."""
    scored = by_metric(found, RECONSTRUCTED)
    known = [name for name in (*_RANKING, *metric_order(scored)) if name in scored]
    varied = [name for name in known if len(set(flat(scored[name]).tolist())) > 1]
    return next(iter(varied or known), None)


def _choice(
    found: Evaluation,
    name: str,
    metric: str | None,
    scores: Mapping[tuple[str, str], Mapping[str, float]],
) -> Choice:
    ids = found.subjects[name].true.ids
    ranked = []
    for each in dict.fromkeys([metric, *_RANKING]):
        if each is not None and all(each in scores[name, clip] for clip in ids):
            values = np.array([scores[name, clip][each] for clip in ids])
            ranked.append(-values if better_of(note(each)) == "lower" else values)
    seed = int(found.content["provenance"]["seed"])
    return choose_clips(ranked, len(ids), seed, random=6, extreme=3)


def _variants(found: Evaluation, name: str, k: int) -> dict[str, Frames]:
    subject = found.subjects[name]
    sets = {"shown": subject.true.frames, RECONSTRUCTED: subject.predicted}
    sets |= {role: subject.others[role] for role in ("against", "oracle") if role in subject.others}
    return {variant: _small(frames[k]) for variant, frames in sets.items()}


def _small(clip: Frames) -> Frames:
    """Return a clip that fits on a strip: some of its frames, none of them large."""
    return fit(clip[np.unique(even_frames(len(clip), min(len(clip), _FRAMES)))], _SIDE)


def _subject(
    found: Evaluation,
    name: str,
    choice: Choice,
    metric: str | None,
    clips: Mapping[Any, Frames],
    urls: Mapping[Any, str],
    scores: Mapping[tuple[str, str], Mapping[str, float]],
    *,
    opened: bool,
) -> Markup:
    words = "score" if metric is None else note(metric).title
    worst, best = ("Lowest", "Highest")
    if metric is not None and better_of(note(metric)) == "lower":
        worst, best = best, worst
    blocks = [
        element(
            "div",
            element("h3", title, element("small", f" {text}")),
            element(
                "div",
                [_clip(found, name, k, clips, urls, scores) for k in chosen],
                class_="clips compact",
            ),
        )
        for title, text, chosen in (
            ("A random sample", "Drawn by the seed alone.", choice.random),
            ("The worst", f"{worst} by: {words}.", choice.worst),
            ("The best", f"{best} by: {words}.", choice.best),
        )
        if chosen
    ]
    if len(found.subjects) == 1:
        return element("div", blocks)
    count = len(found.subjects[name].true)
    return element(
        "details",
        element("summary", name, element("small", f" {count} clips")),
        blocks,
        open=opened,
        class_="subject",
    )


def _clip(
    found: Evaluation,
    name: str,
    k: int,
    clips: Mapping[Any, Frames],
    urls: Mapping[Any, str],
    scores: Mapping[tuple[str, str], Mapping[str, float]],
) -> Markup:
    clip = found.subjects[name].true.ids[k]
    variants = [key[2] for key in clips if key[:2] == (name, k)]
    screens = [
        _screen(clips[name, k, variant], urls[name, k, variant], variant, clip)
        for variant in variants
    ]
    own = scores.get((name, clip), {})
    order = [m for m in _RANKING if m in own] + [m for m in metric_order(own) if m not in _RANKING]
    numbers = [
        element(
            "div",
            element("dt", note(m).short or note(m).title),
            element("dd", unit_value(m, own[m])),
        )
        for m in order[:_NUMBERS]
    ]
    seconds = found.content["provenance"]["rules"]["frames"]["seconds"]["true"]
    time = min(max(seconds[1] if seconds else _SECONDS, 0.5), 10.0)
    return element(
        "figure",
        element("div", screens, class_="screens", style=f"--time:{time:g}s"),
        element(
            "figcaption",
            element("code", clip),
            element("dl", numbers, class_="numbers"),
        ),
        class_="clip",
    )


def _screen(clip: Frames, url: str, variant: str, name: str) -> Markup:
    frames, height, width = clip.shape[:3]
    label = _LABELS.get(variant, variant)
    kind = {"shown": "shown", RECONSTRUCTED: "network"}.get(variant, variant)
    return element(
        "div",
        element(
            "div",
            element(
                "img",
                src=url,
                alt=f"{label}: {name}",
                class_="pixels" if max(height, width) <= 128 else None,
            ),
            class_="play",
            style=f"--frames:{frames};aspect-ratio:{width}/{height}",
        ),
        element("span", label, class_="label"),
        class_=f"screen {kind}",
    )
