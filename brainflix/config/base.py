"""What every section of the configuration shares: frozen, and an unknown key is an error."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from brainflix.errors import ConfigError

S = TypeVar("S", bound="Section")


Fraction = Annotated[float, Field(gt=0, lt=1)]


Positive = Annotated[float, Field(gt=0)]


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]


class Section(BaseModel):
    """A part of the configuration: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def parse(section: type[S], values: Any, *, where: str | Path = "options") -> S:
    """Validate one section, raising :class:`ConfigError` with each key's full name."""
    try:
        return section.model_validate(values)
    except ValidationError as error:
        problems = []
        for problem in error.errors(include_url=False):
            key = ".".join(_keys(values, problem["loc"])) or "(top level)"
            problems.append(f"{key}: {_reason(problem)} (found {_short(problem.get('input'))})")
        raise ConfigError(
            "the configuration is not valid",
            found="\n    " + "\n    ".join(dict.fromkeys(problems)),
            where=where,
            remedy="compare with workflow/schemas/config.schema.json and config.yaml",
        ) from error


def _keys(values: Any, location: tuple[Any, ...]) -> list[str]:
    """Return the keys of a place in the configuration, without the names of chosen components."""
    keys = []
    for depth, part in enumerate(location):
        inside = isinstance(values, Mapping)
        if inside and part not in values and depth < len(location) - 1:
            continue  # the component that the section was read as
        keys.append(str(part))
        values = values.get(part) if inside else _item(values, part)
    return keys


def _item(values: Any, part: Any) -> Any:
    try:
        return values[part]
    except (LookupError, TypeError):
        return None


def _reason(problem: Mapping[str, Any]) -> str:
    context = problem.get("ctx", {})
    if problem["type"] == "extra_forbidden":
        return "unknown key"
    if problem["type"] == "union_tag_invalid":
        known = str(context.get("expected_tags", "")).replace("'", "")
        return f"unknown component {context.get('tag')!r}; there are {known}"
    return str(problem["msg"])


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
