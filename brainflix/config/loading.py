"""From YAML to a validated configuration: recipe, file and experiment laid over each other.

Relative paths count from the folder of the file that they stand in, so that a configuration means
the same wherever the run is started.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from brainflix.components import load_extension
from brainflix.config.assembly import SECTIONS, config_model, default_component, options_model
from brainflix.config.base import S, Section, _short, parse
from brainflix.config.experiment import Config
from brainflix.config.resolution import check_names
from brainflix.errors import ConfigError

RECIPES = Path(__file__).resolve().parents[1] / "recipes"

_SINGLE = frozenset({"alignment", "regression", "generation"})
_SHARED = (*SECTIONS, "paths", "evaluation")


def section_key(path: Sequence[str]) -> str | None:
    """Return which section of :data:`SECTIONS` lies at a place of the configuration, if any."""
    if path and path[-1] in _SINGLE:
        return path[-1]
    if len(path) > 1 and path[-2] in SECTIONS and path[-2] not in _SINGLE:
        return path[-2]
    return None


def merge(
    base: Mapping[str, Any], override: Mapping[str, Any], path: Sequence[str] = ()
) -> dict[str, Any]:
    """Return ``base`` with ``override`` laid over it, mapping by mapping; lists are replaced.

    A section that names another component than the one below it keeps of that one only the keys
    and the inputs that the new component has. An input is replaced as a whole. A section that is
    null is left out.
    """
    merged = dict(base)
    key = section_key(path)
    if key is not None and "component" in override:
        merged = _for_component(merged, str(override["component"]), key)
    whole = bool(path) and path[-1] == "inputs" and section_key(path[:-1]) is not None
    for name, value in override.items():
        if isinstance(value, Mapping) and isinstance(merged.get(name), Mapping) and not whole:
            merged[name] = merge(merged[name], value, (*path, name))
        else:
            merged[name] = value
    return merged


def _for_component(base: dict[str, Any], name: str, key: str) -> dict[str, Any]:
    """Return the keys and inputs of a section that another component has as well."""
    kind, section = SECTIONS[key]
    if base.get("component", default_component(section)) == name or name not in kind:
        return base
    options = options_model(key, name)
    kept = {field: value for field, value in base.items() if field in options.model_fields}
    takes = getattr(options, "takes", None)
    if takes is not None and isinstance(kept.get("inputs"), Mapping):
        kept["inputs"] = {slot: v for slot, v in kept["inputs"].items() if slot in takes}
    return kept


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


def anchored(raw: Mapping[str, Any], folder: str | Path) -> dict[str, Any]:
    """Return a configuration whose relative paths count from ``folder``.

    Paths are ``results``, the roots of studies and what their links may lead to, extensions and a
    recipe that are files, atlases that are files, and models that are folders. What lies in the
    working directory is named from there, so that the same file has the same name whichever
    configuration leads to it.
    """
    folder = Path(folder).resolve()
    if folder == Path.cwd():
        return dict(raw)

    def place(value: Any) -> Any:
        if not isinstance(value, str) or not value:
            return value
        whole = Path(os.path.normpath(folder / value))
        inside = whole.is_relative_to(Path.cwd())
        return str(whole.relative_to(Path.cwd())) if inside else str(whole)

    def existing(value: Any) -> Any:
        there = isinstance(value, str) and ":" not in value and (folder / value).exists()
        return place(value) if there or str(value).startswith(("./", "../")) else value

    def walk(value: Any, key: str) -> Any:
        if isinstance(value, Mapping):
            return {name: walk(part, str(name)) for name, part in value.items()}
        if key == "model" or key.endswith("_model") or key.endswith("_classifier"):
            return existing(value)
        if key == "atlas":
            return (
                place(value) if isinstance(value, str) and ("/" in value or "." in value) else value
            )
        return value

    found: dict[str, Any] = walk(raw, "")
    if "results" in found:
        found["results"] = place(found["results"])
    if str(found.get("recipe", "")).endswith(".yaml"):
        found["recipe"] = place(found["recipe"])
    if isinstance(found.get("extensions"), list):
        found["extensions"] = [
            place(e) if str(e).endswith(".py") else e for e in found["extensions"]
        ]
    studies = found.get("studies")
    for study in studies.values() if isinstance(studies, Mapping) else ():
        if isinstance(study, dict):
            if "root" in study:
                study["root"] = place(study["root"])
            if isinstance(study.get("links_to"), list):
                study["links_to"] = [place(link) for link in study["links_to"]]
    return found


def default_results(path: str | Path) -> dict[str, str]:
    """Return the results of a configuration file that names none: a folder next to it."""
    return anchored({"results": "results"}, Path(path).parent)


def resolve(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Lay recipe, configuration and experiment sections over each other, without validation.

    ``preprocessing`` at the top level is the default of every study; sections of stages, such as
    ``alignment`` and ``generation``, at the top level are the defaults of every experiment.
    """
    raw = dict(raw)
    for extension in raw.get("extensions") or ():
        load_extension(str(extension))
    recipe = raw.pop("recipe", None)
    if recipe is not None:
        raw = merge(_read_recipe(str(recipe)), raw) | {"recipe": str(recipe)}
    preprocessing = raw.pop("preprocessing", None) or {}
    shared = {key: raw.pop(key) for key in _SHARED if key in raw}
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


def _read_recipe(recipe: str) -> dict[str, Any]:
    path = Path(recipe)
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
    return anchored_recipe(read_yaml(path), path.parent)


def anchored_recipe(raw: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return a recipe whose models that are folders count from its own folder."""
    found = anchored(raw, folder)
    return {key: value for key, value in found.items() if key in raw}


def validate(raw: Mapping[str, Any], *, where: str | Path = "the configuration") -> Config:
    """Resolve and validate a configuration, and look up everything that it names.

    Raises
    ------
    ConfigError
        With the full name of each key that is unknown, missing or has an impossible value, or of
        the component, option, model folder, atlas or metric that does not exist.
    """
    resolved = resolve(raw)
    config = parse(config_model(), resolved, where=where)
    check_names(config, where=where)
    return config


def load_config(path: str | Path) -> Config:
    """Read, resolve and validate a configuration file.

    A JSON file that :func:`freeze` wrote is read as it is: it was resolved before.
    """
    path = Path(path)
    if path.suffix == ".json":
        return thaw(path)
    raw = default_results(path) | anchored(read_yaml(path), path.parent)
    return validate(raw, where=path)


def load_layers(paths: Sequence[str | Path], overrides: Mapping[str, Any]) -> Config:
    """Validate configuration files laid over each other, and single values over all of them."""
    if not paths:
        raise ConfigError(
            "there is no configuration",
            expected="config.yaml in the working directory",
            found="none",
            remedy="name one: snakemake --configfile mine.yaml --cores 8 all",
        )
    raw: dict[str, Any] = default_results(paths[0])
    for path in paths:
        raw = merge(raw, anchored(read_yaml(path), Path(path).parent))
    where = " + ".join(map(str, paths)) or "the configuration"
    return validate(merge(raw, overrides or {}), where=where)


def frozen_text(config: Config) -> str:
    """Return a validated configuration as text; equal configurations, equal text.

    The order of studies, subjects and heads is kept: batches follow it, and so do results.
    """
    return json.dumps(config.model_dump(mode="json"), indent=1) + "\n"


def frozen_path(config: Config) -> Path:
    """Return where :func:`freeze` writes a configuration: a name made of what it holds."""
    digest = hashlib.sha256(frozen_text(config).encode()).hexdigest()[:16]
    return Path(config.results) / "config" / f"{digest}.json"


def freeze(config: Config) -> Path:
    """Write a validated configuration for the stages of a run, and return the file's path.

    It is written once and never again: a second run, or a job that reads the workflow again, finds
    it as it is.
    """
    text, path = frozen_text(config), frozen_path(config)
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    return path


def thaw(path: Path) -> Config:
    """Read a configuration that :func:`freeze` wrote."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(
            "the configuration cannot be read",
            expected="a YAML file, or the JSON file of a run",
            found=str(error),
            where=path,
        ) from error
    for extension in raw.get("extensions", ()) if isinstance(raw, dict) else ():
        load_extension(str(extension))
    return parse(config_model(), raw, where=path)


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
    """Return one section as JSON; equal sections, equal text."""
    return json.dumps(section.model_dump(mode="json"), sort_keys=True)


def json_schema() -> str:
    """Return the JSON schema of the configuration as text, as kept in workflow/schemas."""
    return json.dumps(config_model().model_json_schema(), indent=2, sort_keys=True) + "\n"
