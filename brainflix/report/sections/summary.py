"""How well it went: a few numbers, and what they say in sentences, good or bad."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from brainflix.evaluation.audits.collapse import CollapseAudit
from brainflix.evaluation.results import ALPHA, Entry, StudyAudits, SystemComparison
from brainflix.evaluation.wording import (
    ATTRIBUTE,
    SYSTEMS,
    TRIVIAL,
    capital,
    count,
    interval,
    metric_order,
    note,
    number,
    p_value,
    short_title,
    signed,
)
from brainflix.report.contents import Contents

NAME, TITLE = "summary", "In short"
NEEDS: tuple[str, ...] = ("metrics",)
_TILES = 5
Q = f"q < {ALPHA:g}".replace("0.", ".").replace(" ", "\N{NO-BREAK SPACE}")


@dataclass(frozen=True)
class Finding:
    """A sentence about the results; an alarm is a reason not to trust them."""

    text: str
    alarm: bool = False


@dataclass(frozen=True)
class Tile:
    """A number that is shown large.

    Attributes
    ----------
    title, value : str
    above_chance : bool
        Whether it is coloured.
    context : tuple of str
        What it compares with.
    """

    title: str
    value: str
    above_chance: bool
    context: tuple[str, ...]


def has_content(contents: Contents) -> bool:
    """Return True: results have at least one metric."""
    return True


def view(contents: Contents) -> Mapping[str, Any]:
    """Return tiles and findings."""
    return {
        "tiles": [_tile(contents, name) for name in contents.metrics[:_TILES]],
        "findings": findings(contents),
        "q": Q,
        "several": len(contents.results.subjects) > 1,
    }


def _tile(contents: Contents, metric: str) -> Tile:
    entry = contents.results.metrics[metric]
    context = [f"chance {number(entry.chance, 2)}"] if entry.chance is not None else []
    if entry.ceiling is not None:
        context.append(f"oracle {number(entry.ceiling, 2)}")
    if entry.baselines.get("grey") is not None:
        context.append(f"grey {number(entry.baselines['grey'], 2)}")
    values = [each.value for _, each in contents.results.entries(metric) if each.value is not None]
    if len(values) > 1:
        context.append(f"subjects {number(min(values), 2)} to {number(max(values), 2)}")
    return Tile(
        capital(short_title(metric)),
        number(entry.value, 2),
        bool(entry.above_chance),
        tuple(context),
    )


def findings(contents: Contents) -> list[Finding]:
    """Return what the numbers say, one sentence each; alarms come first."""
    results = contents.results
    found = [*_above_chance(contents), *_reached(results.metrics), *_compared(contents)]
    for study, audit in results.audit.items():
        found += _audited(study, audit)
    for name, subject in results.subjects.items():
        found += _collapsed(name, subject.collapse)
    return sorted(found, key=lambda each: not each.alarm)


def _titles(metrics: list[str]) -> str:
    """Return metrics' titles in one line; attributes together."""
    attributes = [name.removeprefix(ATTRIBUTE) for name in metrics if name.startswith(ATTRIBUTE)]
    titles = [note(name).title for name in metrics if not name.startswith(ATTRIBUTE)]
    return "; ".join([*titles, *([f"right {', '.join(attributes)}"] if attributes else [])])


def _above_chance(contents: Contents) -> Iterator[Finding]:
    everywhere, somewhere, nowhere = [], [], []
    for metric in contents.metrics:
        tested = [e.above_chance for _, e in contents.results.entries(metric)]
        if not tested or None in tested:
            continue
        if all(tested):
            everywhere.append(metric)
        elif any(tested):
            somewhere.append(f"{note(metric).title} ({sum(map(bool, tested))} of {len(tested)})")
        else:
            nowhere.append(metric)
    several = len(contents.results.subjects) > 1
    if everywhere:
        where = " in every subject" if several else ""
        yield Finding(f"Better than chance{where} at {Q}: {_titles(everywhere)}.")
    if somewhere:
        yield Finding(f"Better than chance in some subjects only: {'; '.join(somewhere)}.")
    if nowhere:
        where = " in any subject" if several else ""
        yield Finding(f"Not shown to be better than chance{where}: {_titles(nowhere)}.")


def _reached(metrics: Mapping[str, Entry]) -> Iterator[Finding]:
    """Yield the baselines without any knowledge of the brain that score at least as well."""
    for name in TRIVIAL:
        reached = [m for m in metric_order(metrics) if metrics[m].reached_by(name)]
        if reached:
            values = "; ".join(
                f"{note(m).title} ({number(metrics[m].baselines[name])} against "
                f"{number(metrics[m].value)})"
                for m in reached
            )
            yield Finding(f"{capital(SYSTEMS[name][1])} scores at least as well by: {values}.")


def _compared(contents: Contents) -> Iterator[Finding]:
    for other, found in contents.results.comparison.items():
        if found.on == "vectors":
            yield Finding(_verdict(contents.title, other, found))


def _verdict(title: str, other: str, found: SystemComparison) -> str:
    """Return which of two systems identifies clips better by the vectors that it predicts."""
    target = "identification@vector:clip_image"
    metric = target if target in found.metrics else next(iter(found.metrics))
    difference = found.metrics[metric].pooled
    this = "the network" if other == "ridge" else title
    name = metric.rpartition(":")[2]
    if difference is None:
        return f"{capital(this)} and {other} were tested on different clips."
    better, worse = (this, other) if difference.better == "this" else (other, this)
    first = capital(better) if other == "ridge" else better  # an experiment's name stays as it is
    words = f"{first} identifies clips better than {worse}"
    if difference.better == "neither":
        words = f"No difference is shown between {this} and {other}"
    return (
        f"{words}, by the predicted {name}: {number(difference.value)} against "
        f"{number(difference.other)}, difference {signed(difference.difference)} "
        f"({interval(difference.interval)}; P {p_value(difference.p)})."
    )


def _audited(study: str, audit: StudyAudits) -> Iterator[Finding]:
    prefix = f"{study}: " if study else ""
    if audit.split is not None:
        split = audit.split
        if split.disjoint:
            yield Finding(
                f"{prefix}{split.train_clips:,} training and {split.test_clips:,} test clips share "
                "no clip, no group and no identical frames."
            )
        else:
            yield Finding(
                f"{prefix}training and test clips are not separate ({split.shared_clips} clips, "
                f"{split.shared_groups} in shared groups, {split.identical_frames} with identical "
                "frames). Do not trust these scores.",
                alarm=True,
            )
    if audit.duplicates is not None:
        across = audit.duplicates.exact.across + audit.duplicates.near.across
        if across:
            text = f"{prefix}test clips that also occur among the training clips: {across}."
            yield Finding(capital(text), alarm=True)
    if audit.shared_volumes is not None and audit.shared_volumes.test_windows:
        text = (
            f"{prefix}test windows that share volumes with training windows: "
            f"{audit.shared_volumes.test_windows}. Do not trust these scores."
        )
        yield Finding(capital(text), alarm=True)


def _collapsed(name: str, found: CollapseAudit) -> Iterator[Finding]:
    who = f"{name}: the" if name else "The"
    if found.collapsed:
        yield Finding(
            f"{who} reconstructions have collapsed to a few outputs: {collapse_words(found)}.",
            alarm=True,
        )
    if found.identical_to_true:
        yield Finding(
            f"{who} reconstructions include {found.identical_to_true} that are identical to their "
            "true clips.",
            alarm=True,
        )


def collapse_words(found: CollapseAudit) -> str:
    """Return what the audit of collapse counted, in words."""
    return (
        f"the reconstructions differ in {number(found.effective_rank, 1)} directions, the true "
        f"clips in {number(found.effective_rank_true, 1)}; they are nearest to "
        f"{found.distinct_nearest} of {count(found.n, 'clip')} "
        f"({number(found.distinct_expected, 0)} if each chose at random)"
    )
