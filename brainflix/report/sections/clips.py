"""The clips: every reconstruction next to the clip that was shown, in one grid and one table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from brainflix.evaluation.results import ORACLE
from brainflix.evaluation.standalone.source import AGAINST
from brainflix.evaluation.wording import (
    ATTRIBUTE,
    capital,
    note,
    number,
    short_title,
    with_unit,
)
from brainflix.report.contents import SHOWN, Contents, SubjectGallery
from brainflix.report.drawing.filmstrips import Choice, choose_clips
from brainflix.report.drawing.gallery import EncodedClip, GalleryKey, encode_gallery
from brainflix.report.tables import Cell, Column, DataTable, FilterField, TableRow

NAME, TITLE = "clips", "Clips"
NEEDS: tuple[str, ...] = ("galleries",)
GROUPS = {"random": "random sample", "worst": "the worst", "best": "the best"}
_LABELS = {"network": "reconstructed", AGAINST: "the other"}
_NUMBERS = 9  # scores below a clip
_CELLS = 60_000  # of the table of clips; metrics beyond that are left to the table of all scores


@dataclass(frozen=True)
class Screen:
    """One clip that plays, or a picture of it."""

    system: str
    label: str
    clip: EncodedClip


@dataclass(frozen=True)
class ClipCard:
    """One subject's reconstructions of one clip.

    Attributes
    ----------
    ident : str
        Identifier on the page.
    name, clip, caption : str
    keys : mapping of str to str
        What the form filters by.
    groups : tuple of str
        "random sample", "the worst", "the best".
    screens : tuple of Screen
        Empty where the page has no room for pictures.
    attributes : tuple of (str, bool)
        Which attributes are right.
    numbers : tuple of (str, str)
        Scores, as text.
    scores : str
        All scores as JSON, in the order of the form's metrics.
    seconds : float
    href : str
        The address of the video file; may be empty.
    """

    ident: str
    name: str
    clip: str
    caption: str
    keys: Mapping[str, str]
    groups: tuple[str, ...]
    screens: tuple[Screen, ...]
    attributes: tuple[tuple[str, bool], ...]
    numbers: tuple[tuple[str, str], ...]
    scores: str
    seconds: float
    href: str


def has_content(contents: Contents) -> bool:
    """Return True: the section needs galleries."""
    return True


def view(contents: Contents) -> Mapping[str, Any]:
    """Return the cards of all clips, those of the random sample, the worst and the best first."""
    metrics = [m for m in contents.metrics if contents.clip_scores(m).size]
    choices = {each.name: _choice(contents, each) for each in contents.galleries}
    featured = {
        (name, k)
        for name, choice in choices.items()
        for k in (*choice.random, *choice.worst, *choice.best)
    }
    encoded = encode_gallery(contents.galleries, featured, contents.results.system)
    cards = {
        (each.name, k): _card(contents, i, each, k, choices[each.name], encoded, metrics)
        for i, each in enumerate(contents.galleries)
        for k in range(len(each.ids))
    }
    return {
        "chosen": [
            (heading, [cards[name, k] for k in places])
            for name, choice in choices.items()
            for heading, places in _headed(name, choice)
        ],
        "rest": [card for key, card in cards.items() if key not in featured],
        "count": len(cards),
        "metrics": [capital(short_title(metric)) for metric in metrics],
        "filters": _filters(contents),
        "ranking": note(contents.ranking).title if contents.ranking else "score",
        "systems": _systems(contents),
        "pictured": all(card.screens for card in cards.values()),
        "table": _table(contents, list(cards.values()), metrics),
    }


def _choice(contents: Contents, gallery: SubjectGallery) -> Choice:
    """Choose a random sample by the seed alone, and the extremes by the ranking metrics."""
    by_clip = contents.results.scores_of.get(contents.results.system, {})
    scores = [by_clip.get((gallery.name, clip), {}) for clip in gallery.ids]
    ranked = []
    for metric in contents.ranked:
        if all(metric in each for each in scores):
            values = np.array([each[metric] for each in scores])
            ranked.append(-values if contents.results.metrics[metric].lower else values)
    seed = contents.results.provenance.seed
    return choose_clips(ranked, len(gallery.ids), seed, random=6, extreme=3)


def _headed(name: str, choice: Choice) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield each group of chosen clips under its heading; a clip is in the first group it is in."""
    seen: set[int] = set()
    prefix = f"{name}: " if name else ""
    for group, places in (
        ("random", choice.random),
        ("worst", choice.worst),
        ("best", choice.best),
    ):
        found = tuple(k for k in places if k not in seen)
        seen |= set(found)
        if found:
            yield capital(prefix + GROUPS[group]), found


def _card(
    contents: Contents,
    i: int,
    gallery: SubjectGallery,
    k: int,
    choice: Choice,
    encoded: Mapping[GalleryKey, EncodedClip],
    metrics: Sequence[str],
) -> ClipCard:
    clip, system = gallery.ids[k], contents.results.system
    own = contents.results.scores_of.get(system, {}).get((gallery.name, clip), {})
    attributes = tuple(
        (metric.removeprefix(ATTRIBUTE), own[metric] > 0.5)
        for metric in metrics
        if metric.startswith(ATTRIBUTE) and metric in own
    )
    places = {"random": choice.random, "worst": choice.worst, "best": choice.best}
    groups = tuple(GROUPS[group] for group, found in places.items() if k in found)
    study, slash, _ = gallery.name.partition("/")
    plain = [m for m in metrics if not m.startswith(ATTRIBUTE) and m in own]
    return ClipCard(
        ident=f"clip-{i}-{k}",
        name=gallery.name,
        clip=clip,
        caption=gallery.captions.get(clip, ""),
        keys={
            "study": study if slash else "",
            "subject": gallery.name,
            "group": "|".join([*groups, *(["chosen"] if groups else [])]),
            "right": "|".join(name for name, right in attributes if right),
            "wrong": "|".join(name for name, right in attributes if not right),
        },
        groups=groups,
        screens=tuple(
            Screen(s, _LABELS.get(s, s), encoded[gallery.name, k, s])
            for s in gallery.frames
            if (gallery.name, k, s) in encoded
        ),
        attributes=attributes,
        numbers=tuple((short_title(m), with_unit(m, own[m], 2)) for m in plain[:_NUMBERS]),
        scores=json.dumps([_finite(own.get(metric)) for metric in metrics]),
        seconds=gallery.seconds,
        href=gallery.files.get(clip, ""),
    )


def _finite(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(f"{value:.6g}")


def _filters(contents: Contents) -> tuple[FilterField, ...]:
    names = [each.name for each in contents.galleries]
    studies = [name.partition("/")[0] for name in names if "/" in name]
    attributes = tuple(
        m.removeprefix(ATTRIBUTE) for m in contents.metrics if m.startswith(ATTRIBUTE)
    )
    found = []
    if len(set(studies)) > 1:
        found.append(FilterField("study", "study", tuple(dict.fromkeys(studies))))
    if len(names) > 1:
        found.append(FilterField("subject", "subject", tuple(names), chosen=names[0]))
    groups = ("chosen", *GROUPS.values())
    found.append(FilterField("group", "clips", groups, chosen="chosen"))
    if attributes:
        found += [FilterField(key, key, attributes) for key in ("right", "wrong")]
    return tuple(found)


def _systems(contents: Contents) -> list[str]:
    """Return the systems next to the reconstruction, in words."""
    words = {
        "ridge": "ridge regression in place of the network",
        "shuffled": "the generator on the prediction for another clip (shuffled)",
        ORACLE: "what the generator makes of the truth (oracle, its ceiling)",
        AGAINST: "the other system's",
    }
    shown = dict.fromkeys(s for each in contents.galleries for s in each.frames)
    return [words.get(s, s) for s in shown if s not in (SHOWN, contents.results.system)]


def _table(contents: Contents, cards: Sequence[ClipCard], metrics: Sequence[str]) -> DataTable:
    """Return one row per subject and clip, with its scores."""
    room = max(1, _CELLS // max(1, len(cards)))
    first = [m for m in metrics if not m.startswith(ATTRIBUTE)][:room]
    place = {metric: k for k, metric in enumerate(metrics)}
    named = any(card.name for card in cards)
    captions = any(card.caption for card in cards)
    files = any(card.href for card in cards)
    attributes = any(card.attributes for card in cards)
    columns = [Column("clip", words=True)]
    columns += [Column("subject", words=True)] if named else []
    columns += [Column("caption", words=True)] if captions else []
    columns += [Column("right", hint="attributes that are right")] if attributes else []
    columns += [Column(short_title(m), hint=note(m).title) for m in first]
    columns += [Column("file", words=True)] if files else []
    rows = []
    for card in cards:
        scores = json.loads(card.scores)
        cells = [Cell(card.clip, href=f"#{card.ident}")]
        cells += [Cell(card.name)] if named else []
        cells += [Cell(card.caption, style="long")] if captions else []
        if attributes:
            right = sum(each for _, each in card.attributes)
            cells.append(Cell(f"{right} of {len(card.attributes)}", right))
        cells += [Cell(number(scores[place[m]]), scores[place[m]]) for m in first]
        cells += [Cell("video" if card.href else "", href=card.href)] if files else []
        rows.append(TableRow(tuple(cells), {**card.keys, "scores": card.scores}))
    return DataTable("clip-table", "Scores of single clips", tuple(columns), tuple(rows))
