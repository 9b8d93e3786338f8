"""Pretrained parts by name: CLIP, text encoders, VAEs, denoisers, schedulers, classifiers.

Each part is loaded by the class that its own configuration names, out of a registry of classes
that brainflix knows how to call. A part that is missing, damaged or incomplete is a
:class:`~brainflix.errors.ModelError` that names it; nothing is filled with random weights, and no
code out of a model folder is run.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from brainflix.components import Kind
from brainflix.errors import ModelError
from brainflix.models.source import REMEDY, Source, missing, path_in, refusing, resolve

_WEIGHTS = ("model", "diffusion_pytorch_model", "pytorch_model")
_SUFFIXES = (".safetensors", ".bin", ".safetensors.index.json", ".bin.index.json")

CLIPS: Kind[str] = Kind("CLIP class")
TEXT_ENCODERS: Kind[str] = Kind("text encoder class")
AUTOENCODERS: Kind[str] = Kind("VAE class")
DENOISERS: Kind[str] = Kind("denoiser class")
CLASSIFIERS: Kind[str] = Kind("classifier class")
CAPTIONERS: Kind[str] = Kind("captioner class")
SCHEDULERS: Kind[str] = Kind("scheduler")

for _registry, _module, _names in (
    (CLIPS, "transformers", ("CLIPModel", "SiglipModel")),
    (TEXT_ENCODERS, "transformers", ("CLIPTextModel", "T5EncoderModel", "UMT5EncoderModel")),
    (AUTOENCODERS, "diffusers", ("AutoencoderKL",)),
    (
        DENOISERS,
        "diffusers",
        ("UNet3DConditionModel", "UNetMotionModel", "WanTransformer3DModel"),
    ),
    (DENOISERS, "brainflix.models.space_time", ("SpaceTimeTransformer",)),
    (
        CLASSIFIERS,
        "transformers",
        (
            "BeitForImageClassification",
            "ConvNextForImageClassification",
            "ConvNextV2ForImageClassification",
            "DeiTForImageClassification",
            "Dinov2ForImageClassification",
            "ResNetForImageClassification",
            "SwinForImageClassification",
            "Swinv2ForImageClassification",
            "ViTForImageClassification",
            "TimesformerForVideoClassification",
            "VideoMAEForVideoClassification",
            "VivitForVideoClassification",
        ),
    ),
    (CAPTIONERS, "transformers", ("BlipForConditionalGeneration",)),
    (
        SCHEDULERS,
        "diffusers",
        (
            "DDIMScheduler",
            "DDPMScheduler",
            "DPMSolverMultistepScheduler",
            "EulerAncestralDiscreteScheduler",
            "EulerDiscreteScheduler",
            "PNDMScheduler",
            "UniPCMultistepScheduler",
        ),
    ),
):
    for _name in _names:
        _registry.register(_name)(_module)


def part_config(source: Source, subfolder: str = "", name: str = "config.json") -> dict[str, Any]:
    """Return the configuration of a part, or raise :class:`ModelError` when it is missing."""
    relative = path_in(subfolder, name)
    config = source.json(relative)
    if config is None:
        raise missing(source, relative)
    return config


def check_weights(source: Source, subfolder: str, usual: str) -> None:
    """Raise :class:`ModelError` when a folder has no weights for a part, or only some shards.

    ``usual`` is the name that its library gives the file, without a suffix. Hub repositories are
    checked by the library that downloads them.
    """
    if source.folder is None:
        return
    folder = source.folder / subfolder
    present = [
        folder / f"{stem}{suffix}"
        for stem in _WEIGHTS
        for suffix in _SUFFIXES
        if (folder / f"{stem}{suffix}").is_file()
    ]
    if not present:
        raise missing(source, path_in(subfolder, f"{usual}.safetensors"))
    index = present[0]
    if index.name.endswith(".index.json"):
        relative = path_in(subfolder, index.name)
        shards = (source.json(relative) or {}).get("weight_map", {})
        for shard in sorted(set(shards.values())):
            if not (folder / shard).is_file():
                raise missing(source, path_in(subfolder, shard))


def _class(registry: Kind[str], name: str) -> Any:
    return getattr(importlib.import_module(registry[name]), name)


def _class_name(config: Mapping[str, Any], registry: Kind[str], where: object) -> str:
    """Return the class that a configuration names, if brainflix knows how to call it."""
    names = (
        [config["_class_name"]] if "_class_name" in config else config.get("architectures") or []
    )
    for name in names:
        if name in registry:
            return str(name)
    raise ModelError(
        f"the {registry.kind} is not one that brainflix can call",
        expected="one of " + ", ".join(sorted(registry)),
        found=", ".join(names) or "no class name",
        where=where,
    )


def load_part(source: Source, registry: Kind[str], subfolder: str = "") -> Any:
    """Load a network: checked for missing weights, float32, in evaluation mode, without gradients.

    Parameters
    ----------
    source : Source
        The model.
    registry : Kind of str
        Class names that are accepted, with the module each is in.
    subfolder : str
        Where in the model the part lies.

    Returns
    -------
    torch.nn.Module

    Raises
    ------
    ModelError
        When the part is missing, damaged, of an unknown class, or lacks parameters.
    """
    where = source.name if not subfolder else f"{source.name}, {subfolder}"
    config = part_config(source, subfolder)
    name = _class_name(config, registry, where)
    diffusers = "_class_name" in config
    check_weights(source, subfolder, "diffusion_pytorch_model" if diffusers else "model")
    location, options = source.arguments(subfolder)
    part = _class(registry, name)
    with _quietly(), refusing(source, subfolder or "model"):
        model, info = part.from_pretrained(
            location, output_loading_info=True, **_dtype_option(registry[name]), **options
        )
    lacking = sorted(info.get("missing_keys") or ())
    if lacking:
        raise ModelError(
            "the model's weights lack parameters",
            expected=f"all parameters of {name}",
            found=f"{len(lacking)} missing, such as {lacking[0]}",
            where=where,
            remedy=REMEDY,
        )
    return model.eval().requires_grad_(False)


def _dtype_option(module: str) -> dict[str, Any]:
    """Return the keyword that makes a library load float32, whatever the file holds."""
    import torch

    if module == "transformers":
        import transformers

        if int(transformers.__version__.partition(".")[0]) >= 5:
            return {"dtype": torch.float32}
    return {"torch_dtype": torch.float32}


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep the loading libraries' progress bars and advice out of a stage's output.

    Only libraries that are imported already are touched, as importing them takes seconds.
    """
    found = [sys.modules.get(f"{name}.utils.logging") for name in ("transformers", "diffusers")]
    loggers = [logger for logger in found if logger is not None]
    before = [(logger.get_verbosity(), logger.is_progress_bar_enabled()) for logger in loggers]
    for logger in loggers:
        logger.set_verbosity_error()
        logger.disable_progress_bar()
    try:
        yield
    finally:
        for logger, (verbosity, bar) in zip(loggers, before, strict=True):
            logger.set_verbosity(verbosity)
            if bar:
                logger.enable_progress_bar()


def load_tokenizer(source: Source, subfolder: str = "") -> Any:
    """Load a tokenizer of the class that its configuration names.

    Raises
    ------
    ModelError
        When a file of it is missing or damaged.
    """
    import transformers

    config = part_config(source, subfolder, "tokenizer_config.json")
    vocabularies = ("tokenizer.json", "vocab.json", "spiece.model", "vocab.txt")
    if source.folder is not None and not any(
        source.file(path_in(subfolder, name)) for name in vocabularies
    ):
        raise missing(source, path_in(subfolder, "tokenizer.json"))
    base = str(config.get("tokenizer_class") or "AutoTokenizer").removesuffix("Fast")
    tokenizer = getattr(transformers, f"{base}Fast", None) or getattr(transformers, base, None)
    if tokenizer is None:
        raise ModelError(
            "the tokenizer is of a class that transformers does not have",
            expected="a tokenizer of transformers",
            found=base,
            where=source.name,
        )
    location, options = source.arguments(subfolder)
    with _quietly(), refusing(source, subfolder or "tokenizer"):
        return tokenizer.from_pretrained(location, **options)


def find_part(source: Source, candidates: Sequence[str]) -> str:
    """Return the first of some subfolders that the model has, or raise :class:`ModelError`.

    ``model_index.json`` says what there is; without one, each subfolder is looked for.
    """
    index = source.json("model_index.json") or {}
    for subfolder in candidates:
        if subfolder in index:
            return subfolder
    for subfolder in candidates:
        if source.file(path_in(subfolder, "config.json")) is not None:
            return subfolder
    raise missing(source, " or ".join(f"{name}/config.json" for name in candidates))


def load_denoiser(name: str) -> Any:
    """Load a text-to-video model's denoiser from ``unet/`` or ``transformer/``."""
    source = resolve(name)
    return load_part(source, DENOISERS, find_part(source, ("unet", "transformer")))


def load_scheduler(name: str, scheduler: str) -> Any:
    """Make a diffusers scheduler with a model's own noise schedule.

    Parameters
    ----------
    name : str
        The model, whose ``scheduler/scheduler_config.json`` is read.
    scheduler : str
        Registered class name.

    Raises
    ------
    ConfigError
        For an unknown scheduler; the message lists those offered.
    ModelError
        When the model has no scheduler configuration.
    """
    SCHEDULERS[scheduler]  # an unknown name is refused before the model is looked at
    config = part_config(resolve(name), "scheduler", "scheduler_config.json")
    return make_scheduler(config, scheduler)


def make_scheduler(config: Mapping[str, Any], scheduler: str) -> Any:
    """Make a diffusers scheduler by name from a scheduler configuration.

    Clipping and thresholding of the sample are switched off: they are meant for pixels, and latents
    leave -1 to 1. PNDM runs its linear multistep form, which needs one evaluation a step.
    """
    settings = {**config, "clip_sample": False, "thresholding": False, "skip_prk_steps": True}
    kind = _class(SCHEDULERS, scheduler)
    with _quietly():
        return kind.from_config(settings)
