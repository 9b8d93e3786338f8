"""Numbers and names as every table and page writes them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from brainflix.errors import ConfigError
from brainflix.evaluation.results import Entry, Results
from brainflix.metrics.base import Note
from brainflix.metrics.catalogue import EVERYTHING
from brainflix.metrics.catalogue import note as metric_note

NOTHING = "–"
ATTRIBUTE = "attribute@"
_VECTOR = "identification@vector:"

# Systems in the order in which they are shown: a name for narrow columns, and what it is.
SYSTEMS: Mapping[str, tuple[str, str]] = {
    "grey": ("grey", "a flat grey clip"),
    "still_first_frame": ("still", "the reconstruction's first frame, standing still"),
    "shuffled": ("shuffled", "the reconstruction of another clip"),
    "mean_training_clip": ("mean clip", "the mean of all training clips"),
    "random_training_clip": ("random clip", "a training clip drawn at random"),
    "nearest_training_clip": ("nearest clip", "the training clip nearest to the reconstruction"),
    "ridge": ("ridge", "ridge regression in place of the network"),
    "oracle": ("oracle", "what the generator makes of the true vectors, the ceiling"),
}
TRIVIAL = ("grey", "still_first_frame", "mean_training_clip", "random_training_clip")


def number(value: float | None, digits: int = 3) -> str:
    """Return a number: few digits, a true minus sign, a dash where there is none."""
    if value is None or math.isnan(value):
        return NOTHING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    size = abs(value)
    places = digits if size < 10 else max(0, digits - (1 if size < 100 else 2))
    return f"{value:.{places}f}".replace("-", "−")


def signed(value: float | None, digits: int = 3) -> str:
    """Return a number with its sign."""
    return ("+" if value is not None and value >= 0 else "") + number(value, digits)


def p_value(value: float | None) -> str:
    """Return P or q: three decimals without the leading zero, a bound where it is small."""
    if value is None:
        return NOTHING
    if value < 0.001:
        return "< .001"
    return f"{value:.3f}".removeprefix("0")


def interval(bounds: Sequence[float | None] | None, digits: int = 3) -> str:
    """Return an interval as ``low to high``."""
    if bounds is None or None in bounds:
        return NOTHING
    return f"{number(bounds[0], digits)} to {number(bounds[1], digits)}"


def interval_head(results: Results) -> str:
    """Return what the intervals are called, such as ``95 % interval``."""
    return f"{100 * results.confidence:g} % interval"


def count(n: int, singular: str, plural: str | None = None) -> str:
    """Return ``3 subjects``, ``1 study``."""
    return f"{n:,} {singular if n == 1 else plural or singular + 's'}"


def share(part: int, whole: int) -> str:
    """Return ``12 of 40 (30 %)``."""
    return f"{part:,} of {whole:,} ({100 * part / max(1, whole):.0f} %)"


def note(metric: str) -> Note:
    """Return what a metric means; a metric that is no longer known has its name alone."""
    if metric.startswith(_VECTOR):
        target = metric.removeprefix(_VECTOR)
        return Note(
            f"Identification by the predicted {target}",
            shows="How often a predicted vector correlates more with its own clip's vector than "
            "with another test clip's. Chance is 0.5.",
            hides="Whether the vector can be turned into a video.",
            short=f"{target} vector",
        )
    try:
        return metric_note(metric)
    except ConfigError:
        return Note(metric, shows="", hides="")


def short_title(metric: str) -> str:
    """Return a metric's name for a narrow place."""
    words = note(metric)
    return words.short or words.title


def capital(text: str) -> str:
    """Return a text that begins with a capital letter."""
    return text[:1].upper() + text[1:]


def with_unit(metric: str, value: float | None, digits: int = 3) -> str:
    """Return a score with its metric's unit."""
    unit = note(metric).unit
    text = number(value, digits)
    return f"{text} {unit}" if unit and value is not None else text


def title_with_unit(metric: str) -> str:
    """Return a metric's title, with the unit where it has one."""
    words = note(metric)
    return f"{words.title} ({words.unit})" if words.unit else words.title


def metric_order(names: Iterable[str]) -> list[str]:
    """Return metrics in the order in which they are defined; members of a family by name."""
    place = {name: k for k, name in enumerate(EVERYTHING)}
    place["attribute"] = place.get("attributes", len(place))

    def key(name: str) -> tuple[int, str]:
        family = name if name in place else name.partition("@")[0]
        return place.get(family, len(place)), name

    return sorted(names, key=key)


def baseline_order(entries: Mapping[str, Entry]) -> list[str]:
    """Return the baselines that some metric has, in the order in which they are shown."""
    found = {name for entry in entries.values() for name in entry.baselines}
    return [name for name in SYSTEMS if name in found] + sorted(found - {*SYSTEMS})


def system_name(system: str) -> str:
    """Return a system's name for a narrow place."""
    return SYSTEMS[system][0] if system in SYSTEMS else system


def by_reason(skipped: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the metrics that were not computed, by the reason."""
    found: dict[str, list[str]] = {}
    for name, reason in skipped.items():
        found.setdefault(reason, []).append(name)
    return found
