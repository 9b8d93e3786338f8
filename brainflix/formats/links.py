"""Paths and links that lead out of a study are refused; the configuration can admit a place.

A study from elsewhere may hold a link to any file of its reader's computer, whose content would end
in results that are shared. Links within the study, links of DataLad into the annex of the data set
that holds the study, and links into folders that the key ``links_to`` names are followed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

from brainflix.errors import StudyError

_ANNEX = "/.git/annex/objects/"


def refuse_links_out(files: Iterable[Path], root: Path, links_to: Sequence[str] = ()) -> None:
    """Raise when a file of a study is, or lies behind, a link that leads out of the study.

    Parameters
    ----------
    files : iterable of Path
        Files as a reader lists them. Files that the configuration itself names outside of the
        root, such as a raw folder next to it, may lie anywhere below the common parent folder.
    root : Path
        The study's folder or file; itself it may be a link.
    links_to : sequence of str
        Folders that links may lead to.

    Raises
    ------
    StudyError
        Naming the link and where it leads.
    """
    home = os.path.abspath(root if root.is_dir() else root.parent)
    study = os.path.realpath(home)
    admitted = [os.path.realpath(place) for place in links_to]
    own = os.path.realpath(root)
    folders: dict[str, str] = {}
    for file in files:
        absolute = os.path.abspath(file)
        folder = os.path.dirname(absolute)
        if folder not in folders:
            folders[folder] = os.path.realpath(folder)
        real = os.path.realpath(os.path.join(folders[folder], os.path.basename(absolute)))
        shared = os.path.realpath(os.path.commonpath([home, absolute]))
        if not (
            real == own
            or _within(real, shared)
            or any(_within(real, place) for place in admitted)
            or (_ANNEX in real and _within(study, real.partition(_ANNEX)[0]))
        ):
            raise StudyError(
                "a link leads out of the study",
                expected=f"files in {root}",
                found=f"a link to {real}",
                where=file,
                remedy="copy the file into the study, or name the folder that it lies in under "
                "the study's key links_to",
            )


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def path_within(text: str, what: str, where: object, remedy: str) -> PurePosixPath:
    """Return a path relative to a study's folder.

    Raises
    ------
    StudyError
        When it is absolute, leads out of the folder, or cannot be the name of a file.
    """
    path = PurePosixPath(text.replace("\\", "/"))
    if "\0" in text or any(len(part.encode(errors="replace")) > 255 for part in path.parts):
        raise StudyError(
            f"{what} has a name that no file can have",
            expected="at most 255 bytes in each part, none of them 0",
            found=text[:80],
            where=where,
            remedy=remedy,
        )
    if path.is_absolute() or PureWindowsPath(text).drive or ".." in path.parts:
        raise StudyError(
            f"{what} lies outside of the study",
            expected="a relative path without ..",
            found=text,
            where=where,
            remedy=remedy,
        )
    return path
