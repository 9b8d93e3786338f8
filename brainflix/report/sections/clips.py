"""The gallery: true and reconstructed clips that play side by side, and every test clip once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainflix.clips.clips import reconcile
from brainflix.report.contents import Contents, Frames, read_variants
from brainflix.report.drawing.filmstrips import (
    Choice,
    choose_clips,
    contact_sheet,
    data_url,
    encode_strips,
    fit,
)
from brainflix.report.html import Markup, element
from brainflix.report.page import pause_switch
from brainflix.report.words import VARIANT_NAMES, digits_of, note, number, short_title

BUDGET = 6_500_000  # characters of all strips that play
SHEET_BUDGET = 1_500_000  # characters of all contact sheets
_RANKING = ("identification@clip", "identification@pixel", "ssim@rgb")
_SHOWN = "shown"


@dataclass(frozen=True)
class SubjectClips:
    """A subject's clips chosen for the gallery.

    Attributes
    ----------
    name : str
        ``study/subject``.
    ids : tuple of str
        All test clips.
    choice : Choice
        Positions in ``ids``.
    clips : dict of (int, str) to ndarray of uint8, shape (frame, height, width, 3)
        Position and variant ("shown" for the true clip).
    true, network : ndarray of uint8, shape (clip, height, width, 3)
        The middle frames of all test clips.
    """

    name: str
    ids: tuple[str, ...]
    choice: Choice
    clips: dict[tuple[int, str], Frames]
    true: Frames
    network: Frames


def read_subject(contents: Contents, name: str, seed: int) -> SubjectClips:
    """Read a subject's reconstructions and keep what the gallery shows."""
    ids, variants = read_variants(contents.videos[name])
    true = contents.stimuli[name.partition("/")[0]].frames(ids)
    variants = {key: reconcile(frames, true.shape[1:]) for key, frames in variants.items()}
    ranked = [contents.scores(name, metric, ids) for metric in _RANKING]
    choice = choose_clips([each for each in ranked if each is not None], len(ids), seed)
    wanted = sorted({*choice.random, *choice.best, *choice.worst})
    clips = {
        (k, variant): frames[k]
        for k in wanted
        for variant, frames in ({_SHOWN: true} | variants).items()
    }
    middle = true.shape[1] // 2
    return SubjectClips(
        name,
        ids,
        choice,
        clips,
        true[:, middle : middle + 1],
        variants["network"][:, middle : middle + 1],
    )


def section(contents: Contents, subjects: list[SubjectClips]) -> Markup:
    """Return the gallery of all subjects."""
    every = {(each.name, *key): clip for each in subjects for key, clip in each.clips.items()}
    urls = encode_strips(every, BUDGET)
    sheets = _sheets(subjects)
    return element(
        "section",
        element("h2", "Reconstructions"),
        element(
            "p",
            "Left, the clip that was shown; beside it, what was reconstructed from brain activity. "
            "Then the rivals: ridge regression in place of the network, the generator on the "
            "prediction of another clip (shuffled), and the generator on the true vectors (oracle, "
            "its ceiling). All start from the same noise.",
        ),
        pause_switch(),
        [
            _subject(contents, each, urls, sheets[each.name], opened=k == 0)
            for k, each in enumerate(subjects)
        ],
        id="reconstructions",
    )


def _sheets(subjects: list[SubjectClips]) -> dict[str, str]:
    """Return a contact sheet a subject, small enough together."""
    sheets: dict[str, str] = {}
    for side, quality in ((64, 85), (64, 60), (48, 55), (32, 50)):
        sheets = {
            each.name: data_url(
                contact_sheet(fit(each.true, side), fit(each.network, side), columns=10), quality
            )
            for each in subjects
        }
        if sum(map(len, sheets.values())) <= SHEET_BUDGET:
            break
    return sheets


def _subject(
    contents: Contents, subject: SubjectClips, urls: dict[Any, str], sheet: str, *, opened: bool
) -> Markup:
    choice = subject.choice
    rows = [
        ("A random sample", "Drawn by the seed alone.", choice.random),
        ("The worst", f"Lowest {_ranked_by(contents, subject)}.", choice.worst),
        ("The best", f"Highest {_ranked_by(contents, subject)}.", choice.best),
    ]
    scores = {
        metric: contents.scores(subject.name, metric, subject.ids)
        for metric in contents.metric_names
    }
    blocks = [
        element(
            "div",
            element("h3", title, element("small", f" {words}")),
            element(
                "div", [_clip(contents, subject, k, urls, scores) for k in chosen], class_="clips"
            ),
        )
        for title, words, chosen in rows
        if chosen
    ]
    n = len(subject.ids)
    alt = f"Middle frames of all {n} test clips of {subject.name}: true above, reconstructed below"
    return element(
        "details",
        element("summary", subject.name, element("small", f" {n} test clips")),
        blocks,
        element(
            "figure",
            element("img", src=sheet, alt=alt, class_="sheet", loading="lazy"),
            element(
                "figcaption",
                f"All {n} test clips, the middle frame: shown above, reconstructed below.",
            ),
        ),
        open=opened,
        class_="subject",
    )


def _ranked_by(contents: Contents, subject: SubjectClips) -> str:
    for metric in _RANKING:
        if contents.scores(subject.name, metric, subject.ids) is not None:
            title = note(metric).title
            return title[0].lower() + title[1:]
    return "score"


def _clip(
    contents: Contents,
    subject: SubjectClips,
    k: int,
    urls: dict[Any, str],
    scores: dict[str, NDArray[np.float64] | None],
) -> Markup:
    clip = subject.ids[k]
    stimuli = contents.stimuli[subject.name.partition("/")[0]]
    caption = stimuli.captions.get(clip, "")
    variants = [variant for position, variant in subject.clips if position == k]
    screens = [
        _screen(subject.clips[k, variant], urls[subject.name, k, variant], variant, caption or clip)
        for variant in variants
    ]
    return element(
        "figure",
        element("div", screens, class_="screens", style=f"--time:{stimuli.duration:g}s"),
        element(
            "figcaption",
            element("span", caption or clip, class_="caption"),
            element("code", clip) if caption else None,
            _attributes(k, scores),
            _numbers(k, scores),
        ),
        class_="clip",
    )


def _screen(clip: Frames, url: str, variant: str, caption: str) -> Markup:
    frames, height, width = clip.shape[:3]
    label = VARIANT_NAMES.get(variant, variant)
    texture = "pixels" if max(height, width) <= 128 else None
    return element(
        "div",
        element(
            "div",
            element("img", src=url, alt=f"{label}: {caption}", class_=texture),
            class_="play",
            style=f"--frames:{frames};aspect-ratio:{width}/{height}",
        ),
        element("span", label, class_="label"),
        class_=f"screen {variant}",
    )


def _attributes(k: int, scores: dict[str, NDArray[np.float64] | None]) -> Markup | None:
    chips = []
    for metric, values in scores.items():
        family, _, attribute = metric.partition("@")
        if family != "attribute" or values is None:
            continue
        right = bool(values[k] > 0.5)
        sign = "\N{CHECK MARK}" if right else "\N{MULTIPLICATION X}"
        spoken = element("span", " right" if right else " wrong", class_="unseen")
        mark = element("b", sign, aria_hidden="true")
        chips.append(element("li", mark, attribute, spoken, class_="hit" if right else "miss"))
    return element("ul", chips, class_="chips") if chips else None


def _numbers(k: int, scores: dict[str, NDArray[np.float64] | None]) -> Markup:
    parts = [
        element("div", element("dt", short_title(metric)), element("dd", _value(metric, values[k])))
        for metric, values in scores.items()
        if values is not None and not metric.startswith("attribute@")
    ]
    return element("dl", parts, class_="numbers")


def _value(metric: str, value: float) -> str:
    unit = note(metric).unit
    return number(value, min(2, digits_of(metric))) + (f" {unit}" if unit else "")
