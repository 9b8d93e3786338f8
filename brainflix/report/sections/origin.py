"""What was run: configuration, audits, digests and versions."""

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
from brainflix.report.contents import Contents
from brainflix.report.html import Markup, element
from brainflix.report.page import scrolling_table
from brainflix.report.words import collapse_words, number

_LIBRARIES = ("torch", "lightning", "diffusers", "transformers", "numpy", "snakemake")


def section(contents: Contents) -> Markup:
    """Return where the page's numbers come from."""
    return element(
        "section",
        element("h2", "What was run"),
        _cohorts(contents),
        _audits(contents),
        element(
            "details",
            element("summary", "The whole configuration"),
            element("pre", yaml.safe_dump(contents.configuration, sort_keys=True)),
        ),
        element("details", element("summary", "Artifacts and their digests"), _digests(contents)),
        element("p", _versions(), class_="fine"),
        id="origin",
    )


def _cohorts(contents: Contents) -> Markup:
    rows = []
    for study in contents.stimuli:
        section = contents.configuration.get("studies", {}).get(study, {})
        audit = contents.metrics.get("audit", {}).get(study, {})
        response = section.get("preprocessing", {}).get("response", {})
        simulation = section.get("simulation")
        source = f"simulated, {simulation['kind']}" if simulation else section.get("reader", "")
        cells = [
            source.replace("_", "-"),
            str(sum(name.startswith(f"{study}/") for name in contents.subjects)),
            f"{audit.get('train_clips', '–')} / {audit.get('test_clips', '–')}",
            f"{response['delay']:g} s, {response['window']}" if response else "–",
        ]
        rows.append(
            element("tr", element("th", study, scope="row"), [element("td", c) for c in cells])
        )
    heads = ("study", "source", "subjects", "clips, training / test", "delay, volumes")
    models = [
        element("div", element("dt", term), element("dd", value))
        for term, value in _models(contents)
    ]
    return element(
        "div",
        scrolling_table(heads, element("tbody", rows), "Studies", "words"),
        element("dl", models, class_="facts wide"),
    )


def _models(contents: Contents) -> Iterator[tuple[str, str]]:
    """Yield the choices that a reader asks for first."""
    experiment = contents.configuration.get("experiment", {})
    alignment, generation = experiment.get("alignment", {}), experiment.get("generation", {})
    if "recipe" in contents.configuration:
        yield "recipe", str(contents.configuration["recipe"])
    for name, target in contents.configuration.get("targets", {}).items():
        yield f"target {name}", str(target.get("model", ""))
    if alignment:
        yield "alignment", f"{alignment.get('pooling')}, to {alignment.get('target')}"
    if generation:
        yield "generator", str(generation.get("model"))
        yield (
            "generation",
            f"{str(generation.get('path')).replace('_', ' ')}, {generation.get('steps')} steps, "
            f"guidance {generation.get('guidance')}, strength {generation.get('strength')}",
        )
    judges = contents.metrics.get("provenance", {}).get("models", {})
    if judges:
        yield "judges", ", ".join(dict.fromkeys(judges.values()))


def _audits(contents: Contents) -> Markup | None:
    items = []
    for study, audit in contents.metrics.get("audit", {}).items():
        near = audit.get("nearest_training_similarity")
        if not near:
            continue
        rho = near["rank_correlation_with_identification"]
        text = (
            f"{study}: the nearest training clip of a test clip has a median cosine of "
            f"{number(near['median'])} in the space of {near['target']} (at most "
            f"{number(near['max'])})"
        )
        if rho is not None:
            text += f"; identification follows it with a rank correlation of {number(rho, 2)}"
        items.append(element("li", text + "."))
    for name in contents.subjects:
        found = contents.metrics["subjects"][name].get("collapse")
        if found:
            items.append(element("li", f"{name}: {collapse_words(found)}."))
    return element("ul", items, class_="findings") if items else None


def _digests(contents: Contents) -> Markup:
    rows = []
    for name, path in contents.artifacts.items():
        found = _attributes(path)
        cells = [
            file_digest(path),
            str(found.get("code", "–")),
            str(found.get("package_version", "–")),
        ]
        rows.append(
            element(
                "tr",
                element("th", name, scope="row"),
                [element("td", element("code", cell)) for cell in cells],
            )
        )
    heads = ("artifact", "digest", "code", "brainflix")
    return scrolling_table(heads, element("tbody", rows), "Artifacts", "words")


def _attributes(path: Path) -> Mapping[str, Any]:
    if not h5py.is_hdf5(path):
        return {}
    with h5py.File(path, "r") as file:
        return dict(file.attrs)


def _versions() -> str:
    found = []
    for name in _LIBRARIES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return f"brainflix {__version__}; Python {platform.python_version()}; {', '.join(found)}."
