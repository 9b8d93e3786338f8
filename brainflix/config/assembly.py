"""The schema of the configuration, assembled from the options of all components that exist.

A section that names a component takes that component's options and no others: `alignment:
{component: gradient}` has other keys than `alignment: {component: ridge}`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Union

from pydantic import Discriminator, Field, Tag, create_model

from brainflix import components
from brainflix.components import Kind
from brainflix.config.base import Name, Section
from brainflix.config.experiment import Config, ExperimentConfig
from brainflix.config.recipe import (
    AlignmentConfig,
    CaptionerConfig,
    FinetuningConfig,
    GenerationConfig,
    PathConfig,
    PretrainingConfig,
    PriorConfig,
    RegressionConfig,
)

SECTIONS: dict[str, tuple[Kind[Any], type[Section]]] = {
    "pretraining": (components.PRETRAININGS, PretrainingConfig),
    "alignment": (components.BRAIN_ENCODERS, AlignmentConfig),
    "regression": (components.REGRESSORS, RegressionConfig),
    "priors": (components.PRIORS, PriorConfig),
    "finetuning": (components.FINETUNINGS, FinetuningConfig),
    "captioners": (components.CAPTIONERS, CaptionerConfig),
    "generators": (components.GENERATORS, GenerationConfig),
    "generation": (components.GENERATORS, GenerationConfig),
}
"""By the section's key: the kind of its component, and the section that all options extend."""


def default_component(base: type[Section]) -> str | None:
    """Return the component that a section takes where it names none."""
    default = base.model_fields["component"].default
    return default if isinstance(default, str) else None


def options_model(key: str, name: str) -> type[Section]:
    """Return the section of a component: its options, and its name under ``component``."""
    kind, base = SECTIONS[key]
    options: type[Section] = kind.options(name)
    default = name if name == default_component(base) else ...
    model: type[Section] = create_model(
        options.__name__,
        __base__=options,
        __doc__=options.__doc__,
        __module__=options.__module__,
        component=(Literal[name], default),  # type: ignore[arg-type]  # made at run time
    )
    return model


def _choice(key: str) -> Any:
    """Return the type of a section that names a component: any of them, told by its name."""
    kind, base = SECTIONS[key]
    names = sorted(kind)
    if not names:
        return base
    default = default_component(base) or ""

    def named(value: Any) -> str:
        if isinstance(value, dict):
            return str(value.get("component", default))
        return str(getattr(value, "component", default))

    choices = tuple(Annotated[options_model(key, name), Tag(name)] for name in names)
    return Annotated[Union[choices], Discriminator(named)]  # noqa: UP007 (made at run time)


_models: dict[tuple[tuple[str, ...], ...], type[Config]] = {}


def config_model() -> type[Config]:
    """Return the class of the whole configuration, with the components that exist by now."""
    known = tuple(tuple(sorted(kind)) for kind, _ in SECTIONS.values())
    if known not in _models:
        _models[known] = _assemble()
    return _models[known]


def _assemble() -> type[Config]:
    choices: dict[str, Any] = {key: _choice(key) for key in SECTIONS}

    def several(key: str) -> Any:
        return (dict[Name, choices[key]], Field(default_factory=dict))  # type: ignore[valid-type]

    alignment = (choices["alignment"] | None, None)
    regression = (choices["regression"] | None, None)
    priors = several("priors")
    path = create_model(
        "PathConfig",
        __base__=PathConfig,
        __doc__=PathConfig.__doc__,
        alignment=alignment,
        regression=regression,
        priors=priors,
    )
    experiment = create_model(
        "ExperimentConfig",
        __base__=ExperimentConfig,
        __doc__=ExperimentConfig.__doc__,
        alignment=alignment,
        regression=regression,
        priors=priors,
        paths=(dict[Name, path], Field(default_factory=dict)),  # type: ignore[valid-type]
        pretraining=several("pretraining"),
        finetuning=several("finetuning"),
        captioners=several("captioners"),
        generators=several("generators"),
        generation=(
            choices["generation"],
            Field(default_factory=lambda: options_model("generation", "video_to_video")()),
        ),
    )
    return create_model(
        "Config",
        __base__=Config,
        __doc__=Config.__doc__,
        experiments=(dict[Name, experiment], Field(min_length=1)),  # type: ignore[valid-type]
    )
