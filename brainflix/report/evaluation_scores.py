"""An evaluation in numbers: the summary, the table, distributions, differences, meanings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainflix.evaluation.evaluate import RECONSTRUCTED, Evaluation
from brainflix.evaluation.output import (
    baseline_order,
    interval_head,
    metric_order,
    shown,
    shown_interval,
    shown_p,
)
from brainflix.metrics.base import Note
from brainflix.report.drawing.distributions import distribution
from brainflix.report.evaluation_words import (
    BASELINES,
    beats,
    better_of,
    counted,
    place_name,
    with_unit,
)
from brainflix.report.html import Markup, element
from brainflix.report.page import scrolling_table
from brainflix.report.words import count, note

ALPHA = 0.05
_TILES = 5
_TRIVIAL = ("grey", "still_first_frame", "mean_training_clip", "random_training_clip")
_FIRST = (
    "identification@clip",
    "identification@pixel",
    "identification@motion",
    "ssim@rgb",
    "ssim@gray",
    "psnr",
    "temporal@relative",
)


def heading(found: Evaluation) -> Markup:
    """Return the page's title and a sentence of what was compared."""
    content = found.content
    files, rules = content["provenance"]["files"], content["provenance"]["rules"]
    size, frames = rules["size"], rules["frames"]
    who = f" of {count(len(found.subjects), 'subject')}" if len(found.subjects) > 1 else ""
    return element(
        "header",
        element("p", "brainflix evaluation", class_="kicker"),
        element("h1", place_name(files["reconstructed"]["where"])),
        element(
            "p",
            f"{counted(content):,} reconstructions{who}, beside the true clips in "
            f"“{place_name(files['true']['where'])}”: {count(frames['compared'], 'frame')} of "
            f"{size['height']} × {size['width']} pixels each, matched by the rule "
            f"“{frames['rule']}”.",
            class_="lede",
        ),
    )


def summary(found: Evaluation) -> Markup:
    """Return tiles of the main metrics, and findings in sentences."""
    metrics = found.content["metrics"]
    names = [name for name in _FIRST if name in metrics]
    names += [name for name in metric_order(metrics) if name not in names]
    return element(
        "section",
        element("h2", "In short"),
        element("ul", [_tile(metrics[name], name) for name in names[:_TILES]], class_="tiles"),
        element("ul", [element("li", each) for each in findings(found)], class_="findings"),
        id="summary",
    )


def _tile(entry: Mapping[str, Any], name: str) -> Markup:
    words = note(name)
    certain = _significance(entry) is not None and float(_significance(entry) or 0) < ALPHA
    title = words.short or words.title
    return element(
        "li",
        element("span", title[:1].upper() + title[1:], class_="name"),
        element("strong", shown(entry["value"], 2), class_="certain" if certain else None),
        element("span", f"chance {shown(entry['chance'], 2)}", class_="beside"),
        element("span", f"grey {shown(entry['baselines'].get('grey'), 2)}", class_="beside"),
    )


def _significance(entry: Mapping[str, Any]) -> float | None:
    value = entry.get("q", entry.get("p"))
    return None if value is None else float(value)


def findings(found: Evaluation) -> list[Markup]:
    """Return what the numbers say, good or bad, a sentence each."""
    metrics = found.content["metrics"]
    order = metric_order(metrics)
    tested = [name for name in order if _significance(metrics[name]) is not None]
    above = [name for name in tested if (_significance(metrics[name]) or 0) < ALPHA]
    below = [name for name in tested if name not in above]
    sentences: list[Markup] = []
    if above:
        sentences.append(_sentence(f"Better than chance at q < {ALPHA}: ", above))
    if below:
        sentences.append(_sentence(f"Not shown to be better than chance at q < {ALPHA}: ", below))
    for name in _TRIVIAL:
        beaten = [metric for metric in order if _beaten(metrics[metric], metric, name)]
        if beaten:
            what = BASELINES[name][1]
            text = f"{what[:1].upper() + what[1:]} scores at least as well by: "
            sentences.append(_sentence(text, beaten))
    return [*sentences, *_alarms(found.content)]


def _beaten(entry: Mapping[str, Any], metric: str, baseline: str) -> bool:
    other = entry["baselines"].get(baseline)
    return beats(entry["value"], other, better_of(note(metric)))


def _sentence(start: str, metrics: Iterable[str]) -> Markup:
    return element("span", start, "; ".join(note(name).title for name in metrics), ".")


def _alarms(content: Mapping[str, Any]) -> list[Markup]:
    audit, alarms = content["audit"], []
    for subject, found in audit["collapse"].items():
        who = f"{subject}: the" if subject else "The"
        if found["collapsed"]:
            alarms.append(
                f"{who} reconstructions have collapsed to a few outputs: they differ in "
                f"{shown(found['effective_rank'], 1)} directions where the clips differ in "
                f"{shown(found['effective_rank_true'], 1)}, and are nearest to "
                f"{found['distinct_nearest']} of {found['n']} clips."
            )
        if found["identical_to_true"]:
            alarms.append(
                f"Reconstructions that are identical to their true clips: "
                f"{found['identical_to_true']}."
            )
    twice = audit["duplicates"]
    across = twice["exact"]["across"] + twice["near"]["across"]
    if across:
        alarms.append(f"Test clips that also occur among the training clips: {across}.")
    shared = audit.get("shared_volumes")
    if shared and shared["test_windows"]:
        alarms.append(
            "Test windows that share volumes with training windows: "
            f"{shared['test_windows']}. Do not trust these scores."
        )
    return [element("strong", text, class_="alarm") for text in alarms]


def table(found: Evaluation) -> Markup:
    """Return all metrics with interval, chance, P, q and every baseline."""
    content = found.content
    metrics = content["metrics"]
    baselines = baseline_order(metrics)
    heads = ["metric", "value", interval_head(content), "chance", "P", "q"]
    heads += [BASELINES.get(name, (name, ""))[0] for name in baselines]
    several = len(content.get("subjects", {})) > 1
    bodies = [
        element("tbody", _rows(content, name, baselines, several), class_=_better_class(name))
        for name in metric_order(metrics)
    ]
    key = "; ".join(f"{BASELINES[n][0]}: {BASELINES[n][1]}" for n in baselines if n in BASELINES)
    return element(
        "section",
        element("h2", "All numbers"),
        element(
            "p",
            "Intervals are bootstrapped over ",
            _resampled(content),
            ". Chance and P come from permuting which reconstruction belongs to which clip; q is P "
            "after control of the false discovery rate over all metrics"
            f"{' and subjects' if several else ''}. The columns on the right are scored by the "
            "same code; a baseline is ",
            element("span", "marked", class_="beats"),
            " where it is at least as good as the reconstructions.",
        ),
        element(
            "div",
            element(
                "table",
                element(
                    "thead",
                    element(
                        "tr",
                        [
                            element("th", head, scope="col", class_="on" if k == 0 else None)
                            for k, head in enumerate(heads)
                        ],
                    ),
                ),
                bodies,
                class_="numbers-table",
            ),
            class_="scroll",
            tabindex=0,
            role="region",
            aria_label="All scores",
        ),
        element("p", f"{key}.", class_="fine"),
        _skipped(content),
        id="table",
    )


def _better_class(name: str) -> str | None:
    return "lower" if better_of(note(name)) == "lower" else None


def _resampled(content: Mapping[str, Any]) -> str:
    groups = content["provenance"]["rules"]["groups"]
    units = "clips"
    if groups["column"] and groups["groups"] > 1:
        units = f"the {groups['groups']} groups in the column {groups['column']}"
    return f"subjects and {units}" if len(content.get("subjects", {})) > 1 else units


def _rows(
    content: Mapping[str, Any], name: str, baselines: list[str], several: bool
) -> list[Markup]:
    words = note(name)
    arrow = "↓" if better_of(words) == "lower" else ""
    sampled = _sampled(content["metrics"][name])
    title = element(
        "th",
        element("span", words.title, f" ({words.unit})" if words.unit else "", class_="title"),
        element("small", f" {arrow}", title="lower is better") if arrow else None,
        element("code", name),
        element("small", sampled) if sampled else None,
        scope="row",
    )
    rows = [_row(title, content["metrics"][name], name, baselines, "pooled" if several else None)]
    if several:
        rows += [
            _row(
                element("th", subject, scope="row", class_="subject"),
                each["metrics"][name],
                name,
                baselines,
                None,
            )
            for subject, each in content["subjects"].items()
            if name in each["metrics"]
        ]
    return rows


def _sampled(entry: Mapping[str, Any]) -> str:
    """Return what was computed of a part of the clips or pairs only, and of how many."""
    words = {
        "sampled_pairs": "chance from {:,} pairs",
        "scored_clips": "{:,} clips scored",
        "baseline_clips": "baselines on {:,} clips",
    }
    return "; ".join(text.format(entry[key]) for key, text in words.items() if key in entry)


def _row(
    head: Markup, entry: Mapping[str, Any], name: str, baselines: list[str], kind: str | None
) -> Markup:
    cells = [
        element("td", shown(entry["value"]), class_="value"),
        element("td", shown_interval(entry["interval"])),
        element("td", shown(entry["chance"])),
        element("td", shown_p(entry["p"])),
        element("td", shown_p(entry.get("q"))),
    ]
    for baseline in baselines:
        marked = baseline != "oracle" and _beaten(entry, name, baseline)
        text = shown(entry["baselines"].get(baseline))
        cells.append(element("td", text, class_="beats" if marked else None))
    return element("tr", head, cells, class_=kind)


def _skipped(content: Mapping[str, Any]) -> Markup | None:
    by_reason: dict[str, list[str]] = {}
    for name, reason in content.get("skipped_metrics", {}).items():
        by_reason.setdefault(str(reason), []).append(name)
    if not by_reason:
        return None
    items = [
        element("li", f"{reason}: ", element("code", ", ".join(names)))
        for reason, names in by_reason.items()
    ]
    return element(
        "details",
        element("summary", count(sum(map(len, by_reason.values())), "metric"), " not computed"),
        element("ul", items, class_="findings"),
    )


def by_metric(found: Evaluation, variant: str) -> dict[str, dict[str, list[float]]]:
    """Return the scores of one variant: metric to clip to a value a subject."""
    scores: dict[str, dict[str, list[float]]] = {}
    for _, clip, metric, name, value in found.rows:
        if name == variant:
            scores.setdefault(metric, {}).setdefault(clip, []).append(value)
    return scores


def flat(scores: Mapping[str, list[float]]) -> NDArray[np.float64]:
    """Return all values of one metric."""
    return np.array([value for values in scores.values() for value in values], dtype=np.float64)


def distributions(found: Evaluation) -> Markup | None:
    """Return a drawing of each metric's scores over clips."""
    own, shuffled = by_metric(found, RECONSTRUCTED), by_metric(found, "shuffled")
    metrics = found.content["metrics"]
    plots = []
    for name in metric_order(own):
        entry = metrics[name]
        marks = {
            "chance": entry["chance"],
            "grey": entry["baselines"].get("grey"),
            "mean": entry["value"],
        }
        other = flat(shuffled[name]) if name in shuffled else None
        words = note(name)
        title = f"{words.title} ({words.unit})" if words.unit else words.title
        plots.append(
            element(
                "figure",
                element("figcaption", title, element("code", name)),
                distribution(title, flat(own[name]), other, marks),
                class_="plot",
            )
        )
    if not plots:
        return None
    key = [
        ("bars", "reconstructions, a clip each"),
        ("mean", "their mean"),
        ("outline", "shuffled: reconstructions of other clips"),
        ("chance", "chance"),
        ("grey", "flat grey, its mean"),
    ]
    return element(
        "section",
        element("h2", "Distributions over clips"),
        element(
            "ul",
            [
                element("li", element("i", class_=f"sign {name}", aria_hidden="true"), text)
                for name, text in key
            ],
            class_="key",
        ),
        element("div", plots, class_="plots"),
        id="distributions",
    )


def comparison(found: Evaluation) -> Markup | None:
    """Return the paired differences from another system, or None where there is none."""
    content = found.content.get("comparison")
    if content is None:
        return None
    by_subject = {"": content["metrics"]} if "metrics" in content else {}
    by_subject |= content.get("subjects", {})
    names = metric_order(dict.fromkeys(m for each in by_subject.values() for m in each))
    bodies = []
    for name in names:
        rows = [
            _difference(name, subject, each[name])
            for subject, each in by_subject.items()
            if name in each
        ]
        bodies.append(element("tbody", rows))
    heads = ["metric", "this", "other", "difference", interval_head(found.content), "P", "better"]
    return element(
        "section",
        element("h2", f"Against {place_name(content['other'])}"),
        element(
            "p",
            "Both systems on the same clips. The interval of the mean difference is bootstrapped, "
            "P is from flipping the signs of the differences (two-sided).",
        ),
        scrolling_table(heads, bodies, "Differences from another system"),
        id="comparison",
    )


def _difference(name: str, subject: str, found: Mapping[str, Any]) -> Markup:
    difference = found["difference"]
    sign = "+" if difference is not None and difference >= 0 else ""
    cells = [
        shown(found["value"]),
        shown(found["other"]),
        sign + shown(difference),
        shown_interval(found["interval"]),
        shown_p(found["p"]),
        {"this": "this", "other": "the other", "neither": "not shown"}.get(found["better"], "–"),
    ]
    label = note(name).title + (f", {subject}" if subject else "")
    head = element("th", label, element("code", name), scope="row")
    return element("tr", head, [element("td", cell) for cell in cells])


def meanings(found: Evaluation) -> Markup:
    """Return a paragraph for each metric: what it shows and what it does not."""
    texts: dict[tuple[str, str, str], list[str]] = {}
    for name in metric_order(found.content["metrics"]):
        words: Note = note(name)
        texts.setdefault((words.title, words.shows, words.hides), []).append(name)
    return element(
        "section",
        element("h2", "What the metrics mean"),
        element(
            "dl",
            [_meaning(*words, names) for words, names in texts.items()],
            class_="notes",
        ),
        id="metrics",
    )


def _meaning(title: str, shows: str, hides: str, names: list[str]) -> Markup:
    return element(
        "div",
        element("dt", title, element("code", ", ".join(names))),
        element("dd", shows, " ", element("em", "What it does not show: "), hides)
        if shows or hides
        else None,
    )


def unit_value(metric: str, value: float) -> str:
    """Return a clip's score as text."""
    return with_unit(value, note(metric).unit)
