"""Options of readers: validated once, with the nearest known name for one that is misspelt."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, Field, ValidationError

from brainflix.config.base import Section
from brainflix.errors import ConfigError

S = TypeVar("S", bound=Section)
_PREFIX = "options"  # the key of a study that holds them


class NoOptions(Section):
    """The options of a reader that has none."""


class FormOptions(Section):
    """What the options of all forms of a study share."""

    form: str | None = Field(
        default=None, description="form of the study on disk; by default the reader's first form"
    )


def validate_options(section: type[S], values: Any, reader: str, where: object) -> S:
    """Return the options of a reader, validated.

    Parameters
    ----------
    section : type of Section
        The reader's options.
    values : mapping
        What the configuration gives.
    reader : str
        The reader's name, for error messages.
    where : object
        The study, for error messages.

    Raises
    ------
    ConfigError
        With the full name of each wrong key; for an unknown one also the nearest known option and
        all that the reader has there.
    """
    try:
        return section.model_validate(values)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        lines = [_problem(section, problem) for problem in problems]
        known = dict.fromkeys(
            names
            for problem in problems
            if problem["type"] == "extra_forbidden"
            for names in [", ".join(_option_names(section, problem["loc"][:-1]))]
        )
        raise ConfigError(
            f"the options of the reader {reader} are not valid",
            expected="; ".join(known) or "values as the reader's options describe them",
            found="\n    " + "\n    ".join(lines),
            where=where,
            remedy="correct the options; the reader's page in docs/studies says what each means",
        ) from error


def _problem(section: type[BaseModel], problem: Mapping[str, Any]) -> str:
    location = problem["loc"]
    key = ".".join([_PREFIX, *(str(part) for part in location)])
    value = repr(problem.get("input"))
    shown = value if len(value) <= 60 else value[:57] + "..."
    if problem["type"] != "extra_forbidden":
        return f"{key}: {problem['msg']} (found {shown})"
    near = difflib.get_close_matches(str(location[-1]), _option_names(section, location[:-1]), 1)
    hint = f", did you mean {near[0]}?" if near else ""
    return f"{key}: unknown key{hint} (found {shown})"


def _option_names(section: type[BaseModel], location: Iterable[str | int]) -> list[str]:
    """Return the options of a section, or of the section that lies at a place in it."""
    current: type[BaseModel] | None = section
    for part in location:
        if current is not None and part in current.model_fields:
            current = _section_of(current.model_fields[str(part)].annotation)
        # another part is a key of a mapping or a place in a list, whose section is known already
    return [] if current is None else list(current.model_fields)


def _section_of(annotation: Any) -> type[BaseModel] | None:
    """Return the section in an annotation such as ``dict[str, Section] | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((one for arg in get_args(annotation) if (one := _section_of(arg))), None)
