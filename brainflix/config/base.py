"""What every section of the configuration shares: frozen, and an unknown key is an error."""

from __future__ import annotations

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
            key = ".".join(str(part) for part in problem["loc"]) or "(top level)"
            reason = "unknown key" if problem["type"] == "extra_forbidden" else problem["msg"]
            problems.append(f"{key}: {reason} (found {_short(problem.get('input'))})")
        raise ConfigError(
            "the configuration is not valid",
            found="\n    " + "\n    ".join(problems),
            where=where,
            remedy="compare with workflow/schemas/config.schema.json and config.yaml",
        ) from error


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
