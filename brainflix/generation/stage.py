"""The stage ``generate``: regressed vectors of the test clips to videos, baselines beside them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import torch

from brainflix.artifacts.store import (
    create,
    open_artifact,
    read_strings,
    reserve_dataset,
    write_dataset,
)
from brainflix.config.recipe import GenerationConfig
from brainflix.console import announce
from brainflix.errors import ArtifactError, ConfigError
from brainflix.formats.video import resize_frame
from brainflix.generation.captions import CAPTION_DECODERS
from brainflix.generation.generators import GENERATORS, VideoGenerator, required_targets
from brainflix.generation.movies import write_folder
from brainflix.generation.running import ClipRequests, Part, predict
from brainflix.generation.sampler import clip_seed
from brainflix.generation.variants import Variant, read_variants, training_mean
from brainflix.provenance import code_digest


@dataclass(frozen=True)
class Form:
    """What clips of the study look like, and the captions of its training clips."""

    frames: int
    height: int
    width: int
    fps: float
    duration: float
    training_captions: tuple[str, ...]


def read_form(stimuli: Path) -> Form:
    """Read the form of a study's clips from its stimuli artifact."""
    with open_artifact(stimuli, "stimuli") as file:
        frames, height, width = file["frames"].shape[1:4]
        splits, captions = read_strings(file["split"]), read_strings(file["captions"])
        known = [
            text
            for split, texts in zip(splits, captions, strict=True)
            if split == "train"
            for text in json.loads(texts)
        ]
        fps, duration = float(file.attrs["fps"]), float(file.attrs["duration"])
    return Form(frames, height, width, fps, duration, tuple(known))


def decode_captions(
    variant: Variant, target: str, targets: Mapping[str, Path], form: Form
) -> list[str]:
    """Return a caption for each clip, decoded from a variant's vectors of ``target``."""
    if target not in targets:
        raise ArtifactError("no target artifact to decode captions of", expected=target)
    with open_artifact(targets[target], "target") as file:
        encoder, model = str(file.attrs["encoder"]), str(file.attrs["model"])
    rows = variant.rows[target]
    vectors = np.stack([rows[clip] for clip in range(len(rows))])
    return CAPTION_DECODERS[encoder](model, vectors, form.training_captions)


def load_generator(
    options: GenerationConfig, form: Form, predictions: h5py.File, study: str
) -> VideoGenerator:
    """Load the generator, with the negative conditioning that the section names."""
    negative = None
    if options.negative == "training_mean":
        if options.conditioning is None:
            raise ConfigError(
                "there is no training mean to guide away from",
                expected="generation.conditioning, a target",
                found="none",
                remedy="set generation.negative to empty",
            )
        negative = torch.from_numpy(training_mean(predictions, study, options.conditioning))
    shape = (form.frames, form.height, form.width)
    return GENERATORS[options.path](options, shape, negative)


def generate(
    predictions: Path,
    targets: Mapping[str, Path],
    stimuli: Path,
    study: str,
    subject: str,
    options: GenerationConfig,
    out: Path,
    mp4: Path | None = None,
) -> None:
    """Generate a subject's test clips from averaged predictions, and the baselines' clips.

    Variants are ``network`` and, as the section asks, ``ridge`` (ridge predictions), ``shuffled``
    (network predictions handed to other clips) and ``oracle`` (true target vectors). A clip has one
    seed in all of them, so that they differ in their vectors alone.

    Parameters
    ----------
    predictions : Path
        A "predictions" artifact.
    targets : mapping of str to Path
        The study's target artifacts.
    stimuli : Path
        The study's "stimuli" artifact: the clips' size, rate and training captions.
    study, subject : str
        Whose predictions.
    options : GenerationConfig
        How to generate.
    out : Path
        The "videos" artifact.
    mp4 : Path, optional
        A folder for the network's clips as mp4.
    """
    names = ("network", *options.baselines)
    announce("generate", f"reads {study}/{subject} of {predictions}, makes {', '.join(names)}")
    wanted = required_targets(options)
    form = read_form(stimuli)
    with ExitStack() as stack:
        file = stack.enter_context(open_artifact(predictions, "predictions"))
        place = f"{study}/{subject}"
        clips, variants = read_variants(file, targets, place, names, wanted, options.seed, stack)
        captions = {
            each.name: decode_captions(each, options.captions, targets, form)
            for each in variants
            if options.captions is not None
        }
        seeds = [clip_seed(options.seed, clip) for clip in clips]
        requests = ClipRequests(variants, seeds, options, captions)
        module = load_generator(options, form, file, study)
        with predict(module, requests, options, Path(out)) as parts:
            if parts is None:
                return  # of several processes, one writes the artifact
            read = [predictions, stimuli, *(targets[name] for name in wanted if name in targets)]
            with create(
                out,
                "videos",
                configuration=options.model_dump(mode="json"),
                seed=options.seed,
                inputs=read,
                code=code_digest(__name__),
            ) as artifact:
                write_dataset(artifact, "clip", clips, ["clip"])
                for name, texts in captions.items():
                    write_dataset(artifact, f"captions/{name}", texts, ["clip"])
                fill_frames(artifact, parts, names, len(clips), form)
    if mp4 is not None:
        write_movies(Path(out), Path(mp4))
    announce("generate", f"leaves {len(clips)} clips in {len(names)} variants in {out}")


def fill_frames(
    artifact: h5py.File, parts: Iterable[Part], names: Sequence[str], clips: int, form: Form
) -> None:
    """Write generated batches to ``frames/{variant}``, in the order of the clips.

    Frames of another size than the study's (a VAE rounds sides down to its factor) are resized.
    """
    shape = (clips, form.frames, form.height, form.width, 3)
    dims = ("clip", "frame", "height", "width", "channel")
    datasets = [
        reserve_dataset(artifact, f"frames/{name}", shape, np.uint8, dims) for name in names
    ]
    artifact.attrs["fps"], artifact.attrs["duration"] = form.fps, form.duration
    for index, frames in parts:
        for number, clip in zip(index.tolist(), frames, strict=True):
            variant, row = divmod(number, clips)
            datasets[variant][row] = [
                resize_frame(frame, form.height, form.width) for frame in clip
            ]


def write_movies(videos: Path, folder: Path, variant: str = "network") -> list[Path]:
    """Write one variant of a "videos" artifact as mp4 files, a clip each; return their paths."""
    with open_artifact(videos, "videos") as file:
        frames = file[f"frames/{variant}"]
        named = ((clip, frames[row]) for row, clip in enumerate(read_strings(file["clip"])))
        return write_folder(folder, named, float(file.attrs["fps"]))
