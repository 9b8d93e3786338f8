"""The stages ``generate`` and ``caption``: from predictions of the test clips to clips and text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from brainflix.artifacts.store import (
    create,
    open_artifact,
    read_strings,
    reserve_dataset,
    write_dataset,
)
from brainflix.components import CAPTIONERS, GENERATORS
from brainflix.config.recipe import CaptionerConfig, GenerationConfig
from brainflix.config.resolution import check_inputs
from brainflix.console import announce
from brainflix.errors import ConfigError
from brainflix.formats.video import resize_frame
from brainflix.generation.form import ClipForm, film_order, read_form
from brainflix.generation.movies import write_folder
from brainflix.generation.sampler import clip_seed
from brainflix.generation.sources import Connection, read_variants, test_clips, training_mean
from brainflix.provenance import code_digest


def load_generator(
    options: GenerationConfig,
    form: ClipForm,
    connections: Mapping[str, Connection],
    study: str,
) -> Any:
    """Load the generator, with the negative conditioning that the section names."""
    negative = None
    if getattr(options, "negative", "empty") == "training_mean":
        conditioning = connections.get("conditioning")
        if conditioning is None:
            raise ConfigError(
                "there is no training mean to guide away from",
                expected="generation.inputs.conditioning, a target",
                found="none",
                remedy="set generation.negative to empty",
            )
        import torch

        negative = torch.from_numpy(training_mean(conditioning, study))
    shape = (form.frames, form.height, form.width)
    return GENERATORS[options.component](options, shape, negative)


def generate(
    connections: Mapping[str, Connection],
    stimuli: Path,
    study: str,
    subject: str,
    options: GenerationConfig,
    out: Path,
    mp4: Path | None = None,
    baselines: Sequence[str] | None = None,
) -> None:
    """Generate a subject's test clips from averaged predictions, and the baselines' clips.

    Variants are ``network`` and, as the section asks, ``ridge`` (ridge predictions), ``shuffled``
    (network predictions handed to other clips) and ``oracle`` (true target vectors). A clip has one
    seed in all of them, so that they differ in their vectors alone.

    Parameters
    ----------
    connections : mapping of str to Connection
        Where each connected input lies.
    stimuli : Path
        The study's "stimuli" artifact: the clips' size, rate and training captions.
    study, subject : str
        Whose predictions.
    options : GenerationConfig
        The section of the generator.
    out : Path
        The "videos" artifact.
    mp4 : Path, optional
        A folder for the network's clips as mp4.
    baselines : sequence of str, optional
        Instead of the section's, for a generator whose clips another one takes.

    Raises
    ------
    ConfigError
        When the section lacks an input that the generator needs.
    """
    from brainflix.generation.running import ClipRequests, predict

    check_inputs(options)
    names = ("network", *(options.baselines if baselines is None else baselines))
    announce("generate", f"{study}/{subject}: makes {', '.join(names)} by {options.component}")
    form = read_form(stimuli)
    place = f"{study}/{subject}"
    with ExitStack() as stack:
        clips = test_clips(connections, place, stimuli)
        variants = read_variants(connections, clips, place, names, options.seed, stack)
        seeds = [clip_seed(options.seed, clip) for clip in clips]
        requests = ClipRequests(variants, seeds)
        module = load_generator(options, form, connections, study)
        before = film_order(stimuli, clips) if options.follows else None
        with predict(module, requests, options, Path(out), before) as parts:
            if parts is None:
                return  # of several processes, one writes the artifact
            with create(
                out,
                "videos",
                configuration=options.model_dump(mode="json"),
                seed=options.seed,
                inputs=_files(connections, stimuli),
                code=code_digest(__name__),
            ) as artifact:
                write_dataset(artifact, "clip", clips, ["clip"])
                for name, connection in connections.items():
                    if connection.sort == "captioner":
                        for each in variants:
                            texts = [each.rows[name][k] for k in range(len(clips))]
                            write_dataset(artifact, f"captions/{each.name}", texts, ["clip"])
                fill_frames(artifact, parts, names, len(clips), form)
    if mp4 is not None:
        write_movies(Path(out), Path(mp4))
    announce("generate", f"writes {len(clips)} clips in {len(names)} variants in {out}")


def _files(connections: Mapping[str, Connection], stimuli: Path) -> list[Path]:
    """Return every file that a node reads, each once."""
    read = [path for connection in connections.values() for path in connection.files]
    return list(dict.fromkeys([*read[:1], stimuli, *read[1:]]))


def caption(
    connections: Mapping[str, Connection],
    stimuli: Path,
    study: str,
    subject: str,
    options: CaptionerConfig,
    out: Path,
    baselines: Sequence[str] = (),
) -> None:
    """Write a caption for each of a subject's test clips, in every variant.

    Parameters
    ----------
    connections : mapping of str to Connection
        Where each connected input lies.
    stimuli : Path
        The study's "stimuli" artifact, for the captions of training clips; test frames and test
        captions are not looked at.
    study, subject : str
        Whose predictions.
    options : CaptionerConfig
        The section of the captioner.
    out : Path
        The "captions" artifact: ``text/{variant}``.
    baselines : sequence of str
        Variants next to the network's.
    """
    check_inputs(options)
    names = ("network", *baselines)
    announce("caption", f"{study}/{subject}: writes captions by {options.component}")
    form = read_form(stimuli)
    place = f"{study}/{subject}"
    with ExitStack() as stack:
        clips = test_clips(connections, place, stimuli)
        variants = read_variants(connections, clips, place, names, options.seed, stack)
        captioner = CAPTIONERS[options.component](options, form, connections)
        texts = {
            each.name: captioner.write(
                {
                    name: np.stack([rows[k] for k in range(len(clips))])
                    for name, rows in each.rows.items()
                }
            )
            for each in variants
        }
    with create(
        out,
        "captions",
        configuration=options.model_dump(mode="json"),
        seed=options.seed,
        inputs=_files(connections, stimuli),
        code=code_digest(__name__),
    ) as artifact:
        write_dataset(artifact, "clip", clips, ["clip"])
        for name, written in texts.items():
            write_dataset(artifact, f"text/{name}", written, ["clip"])
    announce("caption", f"writes {len(clips)} captions in {len(names)} variants in {out}")


def fill_frames(
    artifact: h5py.File,
    parts: Iterable[tuple[Any, Any]],
    names: Sequence[str],
    clips: int,
    form: ClipForm,
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
    """Write one variant of a "videos" artifact as mp4 files, one per clip; return their paths."""
    with open_artifact(videos, "videos") as file:
        frames = file[f"frames/{variant}"]
        named = ((clip, frames[row]) for row, clip in enumerate(read_strings(file["clip"])))
        return write_folder(folder, named, float(file.attrs["fps"]))
