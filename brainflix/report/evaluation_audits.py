"""What an evaluation found out about its own clips, and what was run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from brainflix.evaluation.evaluate import Evaluation
from brainflix.evaluation.output import metric_order, shown
from brainflix.report.drawing.distributions import scatter
from brainflix.report.evaluation_clips import by_subject, ranking
from brainflix.report.evaluation_words import place_name, share
from brainflix.report.html import Markup, element
from brainflix.report.words import count, note

_SPACES = {"clip": "CLIP's space (cosine)", "pixels": "small pixels (Pearson's r)"}


def section(found: Evaluation) -> Markup:
    """Return the audits: nearness to training, duplicates, shared volumes, collapse."""
    audit = found.content["audit"]
    parts = [
        _collapse(audit["collapse"]),
        _nearness(found, audit["nearest_training"]),
        _duplicates(audit["duplicates"]),
        _windows(audit["shared_volumes"]) if "shared_volumes" in audit else None,
    ]
    return element("section", element("h2", "Audits"), parts, id="audits")


def _collapse(audit: Mapping[str, Mapping[str, Any]]) -> Markup:
    heads = [
        "",
        "directions",
        "true clips'",
        "nearest clips",
        "if random",
        "distinct",
        "collapsed",
    ]
    rows = [
        [
            name or "all reconstructions",
            shown(each["effective_rank"], 1),
            shown(each["effective_rank_true"], 1),
            share(each["distinct_nearest"], each["n"]),
            shown(each["distinct_expected"], 1),
            share(each["distinct_reconstructions"], each["n"]),
            "yes" if each["collapsed"] else "no",
        ]
        for name, each in audit.items()
    ]
    space = _SPACES[next(iter(audit.values()))["space"]]
    return element(
        "div",
        element("h3", "Have the reconstructions collapsed?"),
        element(
            "p",
            "A decoder that ignores the brain, or picks among a few things it has learnt, can "
            "score well while it makes a few outputs only (spurious reconstruction, Shirakawa et "
            "al. 2025). Directions: in how many the reconstructions differ, beside the true "
            f"clips, by effective rank in {space}. Nearest clips: how many true clips are the "
            "nearest of some reconstruction, and how many would be if each chose at random. "
            "Distinct: reconstructions that are no copy of another. Collapsed: less than half of "
            "both.",
        ),
        rows_table(heads, rows, "Collapse"),
    )


def _nearness(found: Evaluation, audit: Mapping[str, Any]) -> Markup:
    title = element("h3", "Do scores depend on the nearest training clip?")
    if "skipped" in audit:
        return element("div", title, element("p", f"Not known: {audit['skipped']}."))
    effects = audit["rank_correlation"]
    rows = [
        [note(name).title, shown(effects[name], 2)]
        for name in metric_order(effects)
        if effects[name] is not None
    ]
    return element(
        "div",
        title,
        element(
            "p",
            f"The nearest of {count(audit['training_clips'], 'training clip')} in "
            f"{_SPACES[audit['space']]} has a median similarity of {shown(audit['median'])} to a "
            f"test clip, at most {shown(audit['max'])}. A rank correlation well above 0 says that "
            "a score is earned on clips that resemble training clips.",
        ),
        element(
            "div",
            _scatter(found),
            rows_table(["metric", "rank correlation"], rows, "Dependence on training"),
            class_="halves",
        ),
    )


def _scatter(found: Evaluation) -> Markup | None:
    metric = ranking(found)
    if metric is None:
        return None
    pairs = [
        (found.similarity[clip], scores[metric])
        for (_, clip), scores in by_subject(found).items()
        if clip in found.similarity and metric in scores
    ]
    x, y = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
    title = note(metric).title
    label = f"{title} against the similarity of the nearest training clip, {len(pairs)} clips"
    return scatter(label, x, y, ("similarity of the nearest training clip", title))


def _duplicates(audit: Mapping[str, Any]) -> Markup:
    names = {"test": "test clips", "train": "training clips"}
    rows = []
    for kind, text in (("exact", "identical frames"), ("near", "nearly identical")):
        found = audit[kind]
        cells = [str(found["within"].get(split, "–")) for split in names]
        across = str(found["across"]) if "train" in found["within"] else "–"
        rows.append([text, *cells, across])
    examples = [" = ".join(pair) for kind in ("exact", "near") for pair in audit[kind]["examples"]]
    listed = f" Such as {'; '.join(examples[:5])}." if examples else ""
    return element(
        "div",
        element("h3", "Does a clip occur twice?"),
        element(
            "p",
            "Pairs of clips. Nearly: thumbnails differ by at most "
            f"{shown(audit['threshold'], 0)} grey levels, root mean square. What stands in both "
            f"splits is no test.{listed}",
        ),
        rows_table(["pairs", "among test", "among training", "across"], rows, "Duplicates"),
    )


def _windows(audit: Mapping[str, Any]) -> Markup:
    gap = audit["gap"]
    nearest = (
        "No run holds both training and test windows."
        if gap is None
        else f"The smallest gap between a test and a training window of a run: {gap} volumes."
    )
    return element(
        "div",
        element("h3", "Do test and training windows share volumes?"),
        element(
            "p",
            f"{count(audit['windows'], 'window')} in {count(audit['runs'], 'run')}: "
            f"test windows that share a volume with a training window, {audit['test_windows']}; "
            f"shared volumes, {audit['volumes']}. {nearest}",
            class_="alarm" if audit["test_windows"] else None,
        ),
    )


def origin(found: Evaluation) -> Markup:
    """Return where the page's numbers come from."""
    known = found.content["provenance"]
    rules = known["rules"]
    files = [
        [
            role,
            place_name(each["where"]),
            f"{each['clips']:,}",
            f"{each['files']:,}",
            each["digest"],
        ]
        for role, each in known["files"].items()
    ]
    libraries = ", ".join(f"{name} {text}" for name, text in known["libraries"].items())
    return element(
        "section",
        element("h2", "What was run"),
        rows_table(["", "name", "clips", "files", "digest"], files, "Files"),
        element(
            "dl",
            [
                element("div", element("dt", term), element("dd", text))
                for term, text in _facts(known, rules)
            ],
            class_="facts wide",
        ),
        element(
            "p",
            f"brainflix {known['package_version']}; Python {known['python']}; {libraries}.",
            class_="fine",
        ),
        id="origin",
    )


def _facts(known: Mapping[str, Any], rules: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    frames, size, pairing = rules["frames"], rules["size"], rules["pairing"]
    yield "frames", f"{frames['rule']}: {frames['meaning']}"
    for role in ("true", "reconstructed"):
        counts = ", ".join(f"{n} ({times} clips)" for n, times in frames[role].items())
        yield f"frames, {role}", counts
        yield f"size, {role}", ", ".join(f"{s} ({n} clips)" for s, n in size[role].items())
        seconds = frames["seconds"][role]
        if seconds:
            yield f"seconds, {role}", " to ".join(f"{s:g}" for s in dict.fromkeys(seconds))
    yield "compared at", f"{size['height']} × {size['width']}, {size['resizing']}"
    left = len(pairing["unpaired_true"]), len(pairing["unpaired_reconstructed"])
    text = f"{pairing['pairs']} by {pairing['rule']}"
    if any(left):
        text += f"; left out: {left[0]} true, {left[1]} reconstructed"
    yield "pairs", text
    groups = rules["groups"]
    yield "resampled", f"{groups['groups']} of {groups['column']}" if groups["column"] else "clips"
    options = known["configuration"]
    for key in ("permutations", "bootstrap"):
        if key in options:
            yield key, f"{options[key]:,}"
    yield "seed", str(known["seed"])
    for role, model in known["models"].items():
        yield role.replace("_", " "), str(model)


def rows_table(heads: Sequence[str], rows: Sequence[Sequence[str]], label: str) -> Markup:
    """Return a table of texts that scrolls where it is too wide."""
    return element(
        "div",
        element(
            "table",
            element("thead", element("tr", [element("th", h, scope="col") for h in heads])),
            element(
                "tbody",
                [
                    element(
                        "tr",
                        element("th", row[0], scope="row"),
                        [element("td", cell) for cell in row[1:]],
                    )
                    for row in rows
                ],
            ),
            class_="words",
        ),
        class_="scroll",
        tabindex=0,
        role="region",
        aria_label=label,
    )
