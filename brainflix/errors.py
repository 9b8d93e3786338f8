"""Typed errors that a person can act on.

Every error a user can cause derives from :class:`BrainflixError`. The command line turns it into
one message and exit code 2; anything else is a defect of brainflix and keeps its traceback.
"""

from __future__ import annotations

from typing import Any


class BrainflixError(Exception):
    """An input, configuration or artifact that cannot be used as it is.

    Parameters
    ----------
    what : str
        What is wrong, in one sentence.
    expected : str, optional
        What would have been right.
    found : str, optional
        What was there instead.
    where : str, optional
        The file, key or place.
    remedy : str, optional
        What the person can do about it.
    """

    def __init__(
        self,
        what: str,
        *,
        expected: object = None,
        found: object = None,
        where: object = None,
        remedy: str | None = None,
    ) -> None:
        self.what, self.expected, self.found = what, expected, found
        self.where, self.remedy = where, remedy
        super().__init__(what)

    def __str__(self) -> str:
        parts = [self.what]
        for label, value in (
            ("expected", self.expected),
            ("found", self.found),
            ("where", self.where),
            ("what to do", self.remedy),
        ):
            if value is not None:
                parts.append(f"  {label}: {value}")
        return "\n".join(parts)


class ConfigError(BrainflixError):
    """A key, value or combination in the configuration that cannot work."""


class StudyError(BrainflixError):
    """A study on disk that is incomplete, inconsistent or damaged."""


class VideoError(StudyError):
    """A video that does not decode to the frames asked for."""


class ArtifactError(BrainflixError):
    """An artifact that is missing, truncated, of another kind or of another version."""


class ModelError(BrainflixError):
    """A pretrained model folder that lacks a part or does not fit its use."""


class DataError(BrainflixError):
    """Arrays that a stage cannot work with, such as a subject with no training trials."""


class FetchError(BrainflixError):
    """A download that cannot be made, or whose content is not what was promised."""


def _require(condition: bool, what: str, **details: Any) -> None:
    if not condition:
        raise StudyError(what, **details)
