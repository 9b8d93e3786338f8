"""The configuration: one YAML file, validated once, handed to the stages section by section."""

from brainflix.config.base import Section, parse
from brainflix.config.experiment import Config, ExperimentConfig
from brainflix.config.loading import (
    RECIPES,
    dump_options,
    freeze,
    json_schema,
    load_config,
    load_layers,
    load_options,
    merge,
    read_yaml,
    resolve,
    validate,
)
from brainflix.config.recipe import (
    AlignmentConfig,
    EvaluationConfig,
    GenerationConfig,
    HeadConfig,
    RegressionConfig,
    RidgeConfig,
    TargetConfig,
)
from brainflix.config.studies import (
    CleaningConfig,
    PreprocessingConfig,
    ResponseConfig,
    SelectionConfig,
    SimulationConfig,
    StimuliConfig,
    StudyConfig,
    StudySource,
)

__all__ = [
    "RECIPES",
    "AlignmentConfig",
    "CleaningConfig",
    "Config",
    "EvaluationConfig",
    "ExperimentConfig",
    "GenerationConfig",
    "HeadConfig",
    "PreprocessingConfig",
    "RegressionConfig",
    "ResponseConfig",
    "RidgeConfig",
    "Section",
    "SelectionConfig",
    "SimulationConfig",
    "StimuliConfig",
    "StudyConfig",
    "StudySource",
    "TargetConfig",
    "dump_options",
    "freeze",
    "json_schema",
    "load_config",
    "load_layers",
    "load_options",
    "merge",
    "parse",
    "read_yaml",
    "resolve",
    "validate",
]
