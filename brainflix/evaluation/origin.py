"""Where results come from: versions, code, configuration, models and the digests of files."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from brainflix import __version__
from brainflix.config.recipe import EvaluationConfig
from brainflix.metrics.models import MetricModels
from brainflix.provenance import code_digest

_LIBRARIES = ("numpy", "scipy", "av", "pillow", "h5py")
_MODEL_LIBRARIES = ("torch", "transformers")


@dataclass(frozen=True)
class InputFiles:
    """The files behind one input of an evaluation.

    Attributes
    ----------
    where : str
    digest : str
        16 hexadecimal digits.
    clips : int or None
    files : int
    ignored : tuple of str
        Files of a folder that are not clips.
    """

    where: str
    digest: str
    clips: int | None = None
    files: int = 1
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True)
class Provenance:
    """Where results come from.

    Attributes
    ----------
    package_version, code, python : str
    libraries : mapping of str to str
        Library to version.
    seed : int
    configuration : mapping
        The section ``evaluation``.
    models : mapping of str to str
        What each pretrained model is called.
    inputs : mapping of str to InputFiles
    options, rules : mapping
        What the command ``evaluate`` was given, and the rules it applied to frames, sizes, pairs
        and groups; empty in the pipeline.
    """

    package_version: str
    code: str
    python: str
    libraries: Mapping[str, str]
    seed: int
    configuration: Mapping[str, Any]
    models: Mapping[str, str]
    inputs: Mapping[str, InputFiles]
    options: Mapping[str, Any] = field(default_factory=dict)
    rules: Mapping[str, Any] = field(default_factory=dict)


def provenance_of(
    module: str,
    section: EvaluationConfig,
    models: MetricModels,
    inputs: Mapping[str, InputFiles],
    **more: Mapping[str, Any],
) -> Provenance:
    """Return where results come from.

    Parameters
    ----------
    module : str
        Full name of the module whose code, with all that it imports, is digested.
    section : EvaluationConfig
    models : MetricModels
    inputs : mapping of str to InputFiles
    **more
        ``options`` and ``rules`` of :class:`Provenance`.
    """
    libraries = [*_LIBRARIES, *(_MODEL_LIBRARIES if models.names else ())]
    return Provenance(
        package_version=__version__,
        code=code_digest(module),
        python=".".join(str(part) for part in sys.version_info[:3]),
        libraries={name: found for name in libraries if (found := _version(name))},
        seed=section.seed,
        configuration=section.model_dump(mode="json"),
        models=dict(models.names),
        inputs=inputs,
        **more,
    )


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None
