"""Names and numbers as the page of an evaluation writes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from brainflix.evaluation.output import shown

BASELINES = {
    "grey": ("grey", "a flat grey clip"),
    "still_first_frame": ("still", "the reconstruction's first frame, standing still"),
    "shuffled": ("shuffled", "the reconstruction of another clip"),
    "mean_training_clip": ("mean clip", "the mean of all training clips"),
    "random_training_clip": ("random clip", "a training clip drawn at random"),
    "nearest_training_clip": ("nearest clip", "the training clip nearest to the reconstruction"),
    "oracle": ("oracle", "what the generator makes of the truth"),
}


def place_name(where: str) -> str:
    """Return the last part of a path, with the dataset's name behind it."""
    path, _, dataset = where.partition("::")
    return PurePath(path).name + (f" ({dataset})" if dataset else "")


def better_of(note: Any) -> str:
    """Return "higher" or "lower": which scores of a metric are better."""
    return str(getattr(note, "better", "higher"))


def beats(value: float | None, other: float | None, better: str) -> bool:
    """Return whether ``other`` is at least as good as ``value``."""
    if value is None or other is None:
        return False
    return other <= value if better == "lower" else other >= value


def with_unit(value: float | None, unit: str) -> str:
    """Return a number with its unit."""
    return f"{shown(value)} {unit}".rstrip() if value is not None else shown(value)


def share(part: int, whole: int) -> str:
    """Return ``12 of 40 (30 %)``."""
    return f"{part:,} of {whole:,} ({100 * part / max(1, whole):.0f} %)"


def counted(content: Mapping[str, Any]) -> int:
    """Return how many pairs were evaluated."""
    return int(content["provenance"]["rules"]["pairing"]["pairs"])
