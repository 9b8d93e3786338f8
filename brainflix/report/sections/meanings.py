"""What each metric shows, and what it does not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from brainflix.evaluation.wording import ATTRIBUTE, note
from brainflix.report.contents import Contents

NAME, TITLE = "meanings", "What the metrics mean"
NEEDS: tuple[str, ...] = ("metrics",)


def has_content(contents: Contents) -> bool:
    """Return True: results have at least one metric."""
    return True


def view(contents: Contents) -> Mapping[str, Any]:
    """Return title, names and words of each metric; those with the same words together."""
    texts: dict[tuple[str, str, str], list[str]] = {}
    attributes = [m.removeprefix(ATTRIBUTE) for m in contents.metrics if m.startswith(ATTRIBUTE)]
    for metric in contents.metrics:
        words, title = note(metric), note(metric).title
        if metric.startswith(ATTRIBUTE):
            words, title = note(f"{ATTRIBUTE}attribute"), f"Right {', '.join(attributes)}"
        texts.setdefault((title, words.shows, words.hides), []).append(metric)
    return {"texts": [(*words, names) for words, names in texts.items()]}
