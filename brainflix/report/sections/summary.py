"""The top of the page: what was done, and how well it went, in a few numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from brainflix.report.contents import Contents
from brainflix.report.html import Markup, element
from brainflix.report.words import (
    collapse_words,
    count,
    digits_of,
    interval,
    mean_baseline,
    mean_of,
    note,
    number,
    p_value,
    short_title,
    signed,
)

ALPHA = 0.01
_TILES = (
    "identification@clip",
    "attribute@object",
    "attribute@colour",
    "attribute@background",
    "attribute@motion",
)
_FALLBACK_TILES = ("identification@pixel", "ssim@rgb", "psnr")


def heading(contents: Contents) -> Markup:
    """Return the page's title and a sentence of what was done."""
    studies = list(dict.fromkeys(name.partition("/")[0] for name in contents.subjects))
    clips = {
        study: contents.metrics.get("audit", {}).get(study, {}).get("test_clips")
        for study in studies
    }
    parts = [
        f"{count(sum(name.startswith(study + '/') for name in contents.subjects), 'subject')} of "
        f"{study}" + (f" ({clips[study]} test clips)" if clips[study] else "")
        for study in studies
    ]
    recipe = contents.configuration.get("recipe")
    how = f" by the recipe {recipe}" if recipe else ""
    return element(
        "header",
        element("p", "brainflix report", class_="kicker"),
        element("h1", contents.experiment),
        element(
            "p",
            f"Videos reconstructed from fMRI{how}, beside the videos that were shown: "
            f"{', '.join(parts)}. Predictions of a clip's repeats are averaged within a subject.",
            class_="lede",
        ),
    )


def section(contents: Contents) -> Markup:
    """Return the summary: tiles, and findings in sentences."""
    names = [name for name in _TILES if contents.entries(name)]
    names = names or [name for name in _FALLBACK_TILES if contents.entries(name)]
    return element(
        "section",
        element("h2", "In short"),
        element("ul", [_tile(contents, name) for name in names], class_="tiles"),
        element("ul", [element("li", each) for each in findings(contents)], class_="findings"),
        id="summary",
    )


def _tile(contents: Contents, metric: str) -> Markup:
    entries = contents.entries(metric)
    digits = min(2, digits_of(metric))
    oracle = mean_baseline(entries, "oracle")
    low, high = (pick(entry["value"] for _, entry in entries) for pick in (min, max))
    beside = [f"chance {number(mean_of(entries, 'chance'), digits)}"]
    if oracle is not None:
        beside.append(f"oracle {number(oracle, digits)}")
    if len(entries) > 1:
        beside.append(f"subjects {number(low, digits)} to {number(high, digits)}")
    certain = all(entry["p"] < ALPHA for _, entry in entries)
    return element(
        "li",
        element("span", _capital(short_title(metric)), class_="name"),
        element(
            "strong",
            number(mean_of(entries, "value"), digits),
            class_="certain" if certain else None,
        ),
        [element("span", each, class_="beside") for each in beside],
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def findings(contents: Contents) -> list[Markup]:
    """Return what the numbers say, good or bad, a sentence each."""
    return [
        *_above_chance(contents),
        *_comparisons(contents),
        *_audit(contents),
        *_collapsed(contents),
    ]


def _collapsed(contents: Contents) -> list[Markup]:
    sentences = []
    for name in contents.subjects:
        found = contents.metrics["subjects"][name].get("collapse", {})
        if found.get("collapsed"):
            text = f"{name}: the output has collapsed; {collapse_words(found)}."
            sentences.append(element("strong", text, class_="alarm"))
    return sentences


def _above_chance(contents: Contents) -> list[Markup]:
    certain: list[tuple[str, int, int]] = []
    doubtful: list[tuple[str, int, int]] = []
    for metric in contents.metric_names:
        entries = contents.entries(metric)
        if any(entry["p"] is None for _, entry in entries):
            continue
        passed = sum(entry["p"] < ALPHA for _, entry in entries)
        (certain if passed == len(entries) else doubtful).append((metric, passed, len(entries)))
    sentences = []
    if certain:
        titles = ", ".join(note(metric).title for metric, *_ in certain)
        sentences.append(f"Above chance at P < {ALPHA} in every subject: {titles}.")
    if doubtful:
        counts = ", ".join(f"{note(m).title} ({passed} of {n})" for m, passed, n in doubtful)
        sentences.append(
            f"Above chance at P < {ALPHA} in some subjects only, or in none: {counts}."
        )
    for metric in ("ssim@rgb", "psnr"):
        entries = contents.entries(metric)
        trivial = mean_baseline(entries, "mean_training_clip") if entries else None
        if trivial is not None and trivial >= mean_of(entries, "value"):
            digits = digits_of(metric)
            sentences.append(
                f"The mean training clip has the higher {note(metric).title} "
                f"({number(trivial, digits)} against {number(mean_of(entries, 'value'), digits)}): "
                "by this metric alone, knowing nothing of the brain would be better."
            )
    return [element("span", each) for each in sentences]


def _comparisons(contents: Contents) -> list[Markup]:
    sentences = []
    for rival, targets in contents.metrics.get("comparison", {}).items():
        if not targets:
            continue
        target = "clip_image" if "clip_image" in targets else next(iter(targets))
        sentences.append(_verdict(contents.experiment, rival, target, targets[target]["pooled"]))
    return sentences


def _verdict(experiment: str, rival: str, target: str, pooled: Mapping[str, Any]) -> Markup:
    this = "The network" if rival == "ridge" else experiment
    words = {
        "this": f"{this} identifies clips better than {rival}",
        "other": f"{rival.capitalize() if rival == 'ridge' else rival} identifies clips better "
        f"than {'the network' if rival == 'ridge' else experiment}",
        "neither": f"No difference is shown between {this.lower() if rival == 'ridge' else this} "
        f"and {rival}",
    }[pooled["better"]]
    return element(
        "span",
        f"{words}, by the predicted {target}: {number(pooled['value'])} against "
        f"{number(pooled['other'])}, difference {signed(pooled['difference'])} "
        f"({interval(pooled['interval'])}; P {p_value(pooled['p'])}).",
    )


def _audit(contents: Contents) -> list[Markup]:
    sentences = []
    for study, audit in contents.metrics.get("audit", {}).items():
        if audit["disjoint"]:
            sentences.append(
                element(
                    "span",
                    f"{study}: {audit['train_clips']:,} training and {audit['test_clips']:,} test "
                    "clips share no clip, no group and no identical frames.",
                )
            )
        else:
            sentences.append(
                element(
                    "strong",
                    f"{study}: training and test clips are not separate "
                    f"({audit['shared_clips']} clips, {audit['shared_groups']} in shared groups, "
                    f"{audit['identical_frames']} with identical frames). Do not trust its scores.",
                    class_="alarm",
                )
            )
    return sentences
