"""The clips of a study of arrays: pictures or frames in arrays, or files; captions and groups."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from brainflix.config.loading import read_yaml
from brainflix.errors import StudyError
from brainflix.formats.links import path_within
from brainflix.formats.pickle import read_object_npy, read_pickle
from brainflix.formats.torch import open_tensors
from brainflix.studies.bids.stimuli import clip_name

STIMULI = frozenset(
    (".mp4", ".avi", ".mov", ".mkv", ".webm", ".gif", ".png", ".jpg", ".jpeg", ".bmp", ".tif")
)


def is_listing(reference: str) -> bool:
    """Return whether stimuli are files: a folder (ending in a slash) or a list of names (.txt)."""
    return reference.endswith(("/", ".txt"))


def listed_files(root: Path, reference: str) -> list[Path]:
    """Return the files of a folder in the order of their names, or of a list in its order.

    Parameters
    ----------
    root : Path
        The study's folder.
    reference : str
        "stimuli/train/", or "train.txt", one file per line, relative to the study's folder.

    Raises
    ------
    StudyError
        When the list is empty, a file is missing or lies outside of the study, or two share a name.
    """
    remedy = "put the stimuli into the study's folder"
    place = root / path_within(reference, "a list of stimuli", root, remedy)
    if reference.endswith("/"):
        files = sorted(path for path in place.glob("*") if path.suffix.lower() in STIMULI)
        if not files:
            raise StudyError(
                "a folder holds no stimuli", expected="pictures or videos", where=place
            )
        return files
    try:
        lines = [line.strip() for line in place.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError("a list cannot be read", found=error, where=place) from error
    files = [root / path_within(line, "a stimulus", place, remedy) for line in lines if line]
    if len(set(files)) < len(files) or not files:
        raise StudyError(
            "a list of stimuli is empty or names one twice",
            expected="one file per line, each of them once",
            found=f"{len(files)} lines, {len(set(files))} files",
            where=place,
        )
    return files


def file_names(files: list[Path], where: object) -> list[str]:
    """Return a clip's name for each file, made from the file's."""
    names = [clip_name(path.name) for path in files]
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise StudyError(
            "two stimuli make clips of one name",
            expected="files whose names differ in more than their folder and suffix",
            found=", ".join(twice[:5]),
            where=where,
        )
    return names


def read_texts(path: Path, count: int, key: str | None = None) -> list[tuple[str, ...]]:
    """Return the captions of each clip from a file.

    Parameters
    ----------
    path : Path
        .txt, one line per clip; .json, .npy, .pkl or .pt, a list of texts or of lists of texts.
    count : int
        Clips that there are.
    key : str, optional
        The entry of a dictionary in the file.

    Raises
    ------
    StudyError
        When the file cannot be read, holds anything but texts, or too few or many of them.
    """
    content = _content(path)
    if key is not None and isinstance(content, Mapping):
        content = content.get(key)
    if isinstance(content, np.ndarray):
        content = content.tolist()
    texts = [_texts(entry) for entry in content] if isinstance(content, list | tuple) else None
    if texts is None or None in texts or len(texts) != count:
        raise StudyError(
            "the captions do not fit the clips",
            expected=f"{count} texts, or lists of texts",
            found=type(content).__name__ if texts is None else f"{len(texts)} entries",
            where=path,
        )
    return [text for text in texts if text is not None]


def named_captions(path: Path) -> dict[str, tuple[str, ...]]:
    """Return captions by the stimulus' name from a YAML or JSON mapping of names to texts.

    Raises
    ------
    ConfigError
        When the file is not a mapping.
    StudyError
        When an entry is neither a text nor a list of texts.
    """
    captions = {}
    for name, entry in read_yaml(path).items():
        texts = _texts(entry)
        if texts is None:
            raise StudyError(
                "a caption is not a text",
                expected="a text, or a list of texts",
                found=f"{name}: {entry!r}"[:100],
                where=path,
            )
        captions[str(name)] = texts
    return captions


def _content(path: Path) -> Any:
    suffix = path.suffix.lower()
    try:
        if suffix in (".pkl", ".pickle"):
            return read_pickle(path)
        if suffix in (".pt", ".pth"):
            return open_tensors(path)
        if suffix == ".npy":
            return read_object_npy(path)
        text = path.read_text(encoding="utf-8-sig")
        return json.loads(text) if suffix == ".json" else text.splitlines()
    except (OSError, ValueError, RecursionError) as error:
        raise StudyError("the captions cannot be read", found=error, where=path) from error


def _texts(entry: Any) -> tuple[str, ...] | None:
    if isinstance(entry, str):
        return (str(entry),) if entry else ()
    if isinstance(entry, list | tuple | np.ndarray) and all(isinstance(one, str) for one in entry):
        return tuple(str(one) for one in entry if one)
    return None
