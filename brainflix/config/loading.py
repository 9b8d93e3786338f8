"""From YAML to a validated configuration: recipe, file and experiment laid over each other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from brainflix.config.base import S, Section, _short, parse
from brainflix.config.experiment import Config
from brainflix.errors import ConfigError

RECIPES = Path(__file__).resolve().parents[1] / "recipes"


_SHARED = ("alignment", "regression", "generation", "evaluation")


def merge(base: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with ``override`` laid over it, mapping by mapping; lists are replaced."""
    merged = dict(base)
    for key, value in override.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML mapping, or raise :class:`ConfigError` naming the file and line."""
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(
            "the configuration cannot be read", found=str(error), where=path
        ) from error
    if not isinstance(content, dict):
        raise ConfigError(
            "the configuration is not a mapping", found=type(content).__name__, where=path
        )
    return content


def resolve(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Lay recipe, configuration and experiment sections over each other, without validation.

    ``preprocessing`` at the top level is the default of every study; ``alignment``, ``regression``,
    ``generation`` and ``evaluation`` at the top level are the defaults of every experiment.
    """
    raw = dict(raw)
    recipe = raw.pop("recipe", None)
    if recipe is not None:
        path = Path(str(recipe))
        if path.suffix != ".yaml":
            path = RECIPES / f"{recipe}.yaml"
        if not path.is_file():
            known = ", ".join(sorted(p.stem for p in RECIPES.glob("*.yaml")))
            raise ConfigError(
                "unknown recipe",
                expected=f"one of {known}, or a .yaml file",
                found=recipe,
                where="recipe",
            )
        raw = merge(read_yaml(path), raw) | {"recipe": str(recipe)}
    preprocessing = raw.pop("preprocessing", None) or {}
    shared = {key: raw.pop(key) or {} for key in _SHARED if key in raw}
    studies, experiments = raw.get("studies"), raw.get("experiments")
    if isinstance(studies, Mapping) and preprocessing:
        raw["studies"] = {
            name: merge({"preprocessing": preprocessing}, study)
            if isinstance(study, Mapping)
            else study
            for name, study in studies.items()
        }
    if isinstance(experiments, Mapping) and shared:
        raw["experiments"] = {
            name: merge(shared, experiment) if isinstance(experiment, Mapping) else experiment
            for name, experiment in experiments.items()
        }
    return raw


def validate(raw: Mapping[str, Any], *, where: str | Path = "the configuration") -> Config:
    """Resolve and validate a configuration.

    Raises
    ------
    ConfigError
        With the full name of each key that is unknown, missing or has an impossible value.
    """
    return parse(Config, resolve(raw), where=where)


def load_config(path: str | Path) -> Config:
    """Read, resolve and validate a configuration file."""
    return validate(read_yaml(path), where=path)


def load_options(section: type[S], text: str) -> S:
    """Read one section from a JSON string or a YAML file's path, as the command line gives it."""
    stripped = text.strip()
    if stripped.startswith("{"):
        try:
            values = json.loads(stripped)
        except ValueError as error:
            raise ConfigError(
                "the options are not JSON", found=str(error), where=_short(text)
            ) from error
        return parse(section, values)
    return parse(section, read_yaml(stripped), where=stripped)


def dump_options(section: Section) -> str:
    """Return one section as JSON that :func:`load_options` reads; equal sections, equal text."""
    return json.dumps(section.model_dump(mode="json"), sort_keys=True)


def json_schema() -> str:
    """Return the JSON schema of :class:`Config` as text, as kept in workflow/schemas."""
    return json.dumps(Config.model_json_schema(), indent=2, sort_keys=True) + "\n"
