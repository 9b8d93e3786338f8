"""Captions in a JSON file next to a study, for studies that are published without captions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from brainflix.errors import StudyError

_LARGEST = 1 << 28  # bytes; the largest published annotations have a few MB


def read_json_object(path: Path, what: str) -> dict[str, Any]:
    """Return the object that a JSON file holds.

    Raises
    ------
    StudyError
        When the file is missing, huge, or no JSON object.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError(f"{path.stat().st_size} bytes")
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise StudyError(
            f"{what} cannot be read", expected="a JSON file", found=str(error)[:200], where=path
        ) from error
    if not isinstance(content, dict):
        raise StudyError(
            f"{what} are not a JSON object",
            expected="{...}",
            found=type(content).__name__,
            where=path,
        )
    return content


def caption_texts(value: object, where: object) -> tuple[str, ...]:
    """Return one text or a list of texts as a tuple.

    Raises
    ------
    StudyError
        When it is neither.
    """
    entries = [value] if isinstance(value, str) else value
    if not isinstance(entries, list) or not all(isinstance(text, str) for text in entries):
        raise StudyError(
            "captions are not texts", expected='["a cat runs", ...]', found=value, where=where
        )
    return tuple(text.strip() for text in entries if text.strip())


def read_captions(path: Path) -> Mapping[str, tuple[str, ...]]:
    """Return the captions of each clip from a JSON object of clip names to texts."""
    content = read_json_object(path, "captions")
    return {clip: caption_texts(value, f"{path}, {clip}") for clip, value in content.items()}
