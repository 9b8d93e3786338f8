"""Numbers and names as the page writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from brainflix.errors import ConfigError
from brainflix.metrics.base import Note
from brainflix.metrics.catalogue import note as metric_note

VARIANT_NAMES = {
    "network": "reconstructed",
    "ridge": "ridge",
    "shuffled": "shuffled",
    "oracle": "oracle",
    "grey": "grey",
    "mean_training_clip": "mean clip",
}


def number(value: float | None, digits: int = 3) -> str:
    """Return a number with a true minus sign; None is a dash."""
    if value is None:
        return "–"
    return f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def signed(value: float, digits: int = 3) -> str:
    """Return a number with its sign."""
    return ("+" if value >= 0 else "") + number(value, digits)


def interval(bounds: tuple[float, float] | list[float] | None, digits: int = 3) -> str:
    """Return an interval as ``low to high``; None is a dash."""
    if bounds is None:
        return number(None)
    return f"{number(bounds[0], digits)} to {number(bounds[1], digits)}"


def p_value(p: float | None) -> str:
    """Return a P value, bounded where it is small; None is a dash."""
    if p is None:
        return number(None)
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def collapse_words(found: Mapping[str, Any]) -> str:
    """Return what :func:`brainflix.evaluation.audit.collapse` counted, in words."""
    return (
        f"the reconstructions differ in {number(found['effective_rank'], 1)} directions, the true "
        f"clips in {number(found['effective_rank_true'], 1)}; they are nearest to "
        f"{found['distinct_nearest']} of {count(found['n'], 'clip')} "
        f"({number(found['distinct_expected'], 0)} if each chose at random)"
    )


def digits_of(metric: str) -> int:
    """Return the digits that a metric is written with."""
    return 2 if metric == "psnr" else 3


def note(metric: str) -> Note:
    """Return what a metric means; a metric that is no longer known has its name alone."""
    try:
        return metric_note(metric)
    except ConfigError:
        return Note(metric, shows="", hides="")


def short_title(metric: str) -> str:
    """Return a metric's name for a narrow place."""
    words = note(metric)
    return words.short or words.title


def count(n: int, singular: str, plural: str | None = None) -> str:
    """Return ``3 subjects``, ``1 study``."""
    return f"{n:,} {singular if n == 1 else plural or singular + 's'}"


def mean_of(entries: list[tuple[str, Mapping[str, Any]]], key: str) -> float:
    """Return the mean over subjects of one number of their entries."""
    return sum(float(entry[key]) for _, entry in entries) / len(entries)


def mean_baseline(entries: list[tuple[str, Mapping[str, Any]]], name: str) -> float | None:
    """Return the mean over subjects of a baseline's score, None where a subject lacks it."""
    values = [entry["baselines"].get(name) for _, entry in entries]
    return None if None in values or not values else sum(values) / len(values)
