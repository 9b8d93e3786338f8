"""What was run: studies and models, rules, files with their digests, versions, configuration."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import h5py
import yaml

from brainflix import __version__
from brainflix.artifacts.store import file_digest
from brainflix.evaluation.origin import Provenance
from brainflix.evaluation.wording import NOTHING
from brainflix.report.contents import Contents
from brainflix.report.folders import place_name
from brainflix.report.tables import DataTable, text_table

NAME, TITLE = "origin", "What was run"
NEEDS: tuple[str, ...] = ()
_ASKED = {
    "component": "{}",
    "pooling": "{}",
    "target": "to {}",
    "model": "{}",
    "steps": "{} steps",
    "guidance": "guidance {}",
    "strength": "strength {}",
}
_LIBRARIES = ("torch", "lightning", "diffusers", "transformers", "numpy", "snakemake")


def has_content(contents: Contents) -> bool:
    """Return True: results say where they come from."""
    return True


def view(contents: Contents) -> Mapping[str, Any]:
    """Return tables and facts on where the page's numbers come from."""
    known = contents.results.provenance
    pipeline = bool(contents.artifacts)
    configuration = contents.configuration or dict(known.configuration)
    return {
        "studies": _studies(contents) if contents.configuration else None,
        "facts": [*_models(contents), *_rules(known), *_draws(known)],
        "files": _artifacts(contents) if pipeline else _folders(known),
        "files_title": "Artifacts and their digests" if pipeline else "Files and their digests",
        "configuration": yaml.safe_dump(configuration, sort_keys=True),
        "options": _options(known),
        "versions": _versions(known, pipeline),
    }


def _studies(contents: Contents) -> DataTable:
    rows = []
    results = contents.results
    for study in dict.fromkeys(name.partition("/")[0] for name in results.subjects):
        section = contents.configuration.get("studies", {}).get(study, {})
        audit = results.audit.get(study)
        split = audit.split if audit else None
        response = section.get("preprocessing", {}).get("response", {})
        simulation = section.get("simulation")
        source = f"simulated, {simulation['kind']}" if simulation else section.get("reader", "")
        rows.append(
            (
                study,
                source.replace("_", "-"),
                str(sum(name.startswith(f"{study}/") for name in results.subjects)),
                f"{split.train_clips} / {split.test_clips}" if split else f"{NOTHING} / {NOTHING}",
                f"{response['delay']:g} s, {response['window']}" if response else NOTHING,
            )
        )
    heads = ("study", "source", "subjects", "clips, training / test", "delay, volumes")
    return text_table("study-table", "Studies", heads, rows, words=2)


def _models(contents: Contents) -> Iterator[tuple[str, str]]:
    """Yield the choices that a reader asks for first."""
    experiment = contents.configuration.get("experiment", {})
    if contents.configuration.get("recipe"):
        yield "recipe", str(contents.configuration["recipe"])
    for name, target in contents.configuration.get("targets", {}).items():
        yield f"target {name}", str(target.get("model", ""))
    for stage in ("alignment", "regression", "generation"):
        section = experiment.get(stage)
        if section:
            yield stage, ", ".join(_described(section))
    for kind in ("pretraining", "paths", "finetuning", "captioners", "generators"):
        if experiment.get(kind):
            yield kind, ", ".join(experiment[kind])


def _described(section: Mapping[str, Any]) -> Iterator[str]:
    """Yield the options of a stage that a reader asks for first, those that it has."""
    for key, text in _ASKED.items():
        if section.get(key) is not None:
            yield text.format(str(section[key]).replace("_", " "))


def _rules(known: Provenance) -> Iterator[tuple[str, str]]:
    """Yield the rules that were applied to folders of clips."""
    if not known.rules:
        return
    frames, size, pairing = (known.rules[name] for name in ("frames", "size", "pairing"))
    yield "frames", f"{frames['rule']}: {frames['meaning']}"
    for role in ("true", "reconstructed"):
        yield f"frames, {role}", ", ".join(f"{n} ({t} clips)" for n, t in frames[role].items())
        yield f"size, {role}", ", ".join(f"{s} ({n} clips)" for s, n in size[role].items())
        seconds = frames["seconds"][role]
        if seconds:
            yield f"seconds, {role}", " to ".join(f"{s:g}" for s in dict.fromkeys(seconds))
    yield "compared at", f"{size['height']} × {size['width']}, {size['resizing']}"
    left = len(pairing["unpaired_true"]), len(pairing["unpaired_reconstructed"])
    text = f"{pairing['pairs']} by {pairing['rule']}"
    if any(left):
        text += f"; left out: {left[0]} true, {left[1]} reconstructed"
    yield "pairs", text
    groups = known.rules["groups"]
    yield "resampled", f"{groups['groups']} of {groups['column']}" if groups["column"] else "clips"


def _draws(known: Provenance) -> Iterator[tuple[str, str]]:
    for key in ("permutations", "bootstrap"):
        if key in known.configuration:
            yield key, f"{known.configuration[key]:,}"
    yield "seed", str(known.seed)
    for role, model in known.models.items():
        yield role.replace("_", " "), str(model)


def _options(known: Provenance) -> str:
    """Return the command's options as text, places by their last part."""
    given = {k: v for k, v in known.options.items() if v not in (None, False)}
    shown = {k: place_name(v) if isinstance(v, str) else v for k, v in given.items()}
    return yaml.safe_dump(shown, sort_keys=True) if shown else ""


def _folders(known: Provenance) -> DataTable:
    rows = [
        (
            role,
            place_name(each.where),
            NOTHING if each.clips is None else f"{each.clips:,}",
            f"{each.files:,}",
            f"{len(each.ignored):,}",
            each.digest,
        )
        for role, each in known.inputs.items()
    ]
    heads = ("input", "name", "clips", "files", "ignored", "digest")
    return text_table("file-table", "Files", heads, rows, words=2)


def _artifacts(contents: Contents) -> DataTable:
    rows = []
    for name, path in contents.artifacts.items():
        found = _attributes(path)
        rows.append(
            (
                name,
                file_digest(path),
                str(found.get("code", NOTHING)),
                str(found.get("package_version", NOTHING)),
            )
        )
    heads = ("artifact", "digest", "code", "brainflix")
    return text_table("file-table", "Artifacts", heads, rows, words=4)


def _attributes(path: Path) -> Mapping[str, Any]:
    if not h5py.is_hdf5(path):
        return {}
    with h5py.File(path, "r") as file:
        return dict(file.attrs)


def _versions(known: Provenance, pipeline: bool) -> str:
    """Return the versions that the evaluation had, and in a pipeline those of the other stages."""
    libraries = dict(known.libraries)
    if pipeline:
        libraries |= {name: found for name in _LIBRARIES if (found := _version(name))}
    listed = ", ".join(f"{name} {text}" for name, text in libraries.items())
    return f"brainflix {__version__}; Python {platform.python_version()}; {listed}."


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None
