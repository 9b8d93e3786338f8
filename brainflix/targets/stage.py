"""The stage ``encode``: one target of every clip, computed by a registered encoder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from brainflix.artifacts.store import (
    chunks,
    create,
    open_artifact,
    read_strings,
    reserve_dataset,
    write_dataset,
)
from brainflix.components import ENCODERS
from brainflix.config.recipe import TargetConfig
from brainflix.console import announce, track
from brainflix.errors import ConfigError, DataError
from brainflix.provenance import code_digest
from brainflix.targets.encoders import ClipBatch, Encoder

_BATCH = 16  # clips in memory at a time


def load_encoder(options: TargetConfig) -> Encoder:
    """Make the encoder that a section names.

    Raises
    ------
    ConfigError
        For an unknown encoder, or an option that it does not have.
    ModelError
        When its model lacks a part.
    """
    encoder = ENCODERS[options.encoder]
    try:
        return encoder.from_pretrained(options.model, **options.options)
    except TypeError as error:
        raise ConfigError(
            f"the encoder {options.encoder!r} does not take these options",
            found=f"{options.options}: {error}",
            where="targets",
        ) from error


def read_batch(stimuli: h5py.File, rows: slice, ids: list[str], captions: list[str]) -> ClipBatch:
    """Read some clips of an open stimuli artifact."""
    return ClipBatch(
        ids[rows], stimuli["frames"][rows], [json.loads(text) for text in captions[rows]]
    )


def encode(stimuli: Path, options: TargetConfig, out: Path) -> None:
    """Compute one target from every clip and write it row by row.

    Parameters
    ----------
    stimuli : Path
        A "stimuli" artifact.
    options : TargetConfig
        Encoder, model and the encoder's own options.
    out : Path
        The "target" artifact: values (clip, ...) float32, clip.
    """
    announce("encode", f"reads {stimuli}, encodes by {options.encoder} of {options.model}")
    encoder = load_encoder(options)
    with open_artifact(stimuli, "stimuli") as source:
        ids, captions = read_strings(source["clip"]), read_strings(source["captions"])
        with create(
            out,
            "target",
            configuration=options.model_dump(mode="json"),
            inputs=[stimuli],
            code=code_digest(__name__),
        ) as file:
            file.attrs["encoder"], file.attrs["model"] = options.encoder, options.model
            write_dataset(file, "clip", ids, ["clip"])
            dataset: Any = None
            shape: tuple[int, ...] = ()
            slices = list(chunks(len(ids), _BATCH))
            for rows in track(slices, "encode", len(slices)):
                values = encoder.encode(read_batch(source, rows, ids, captions))
                _check(values, ids[rows])
                if dataset is None:
                    shape, dims = (len(ids), *values.shape[1:]), ("clip", *encoder.dims)
                    dataset = reserve_dataset(file, "values", shape, np.float32, dims)
                dataset[rows] = values
    announce("encode", f"writes {' x '.join(map(str, shape))} values in {out}")


def _check(values: np.ndarray, ids: list[str]) -> None:
    finite = np.isfinite(values).reshape(len(values), -1).all(axis=1)
    if not finite.all():
        raise DataError(
            "the encoder gave values that are not finite",
            found=f"{int((~finite).sum())} clips, such as {ids[int(np.argmin(finite))]}",
            remedy="check the model's weights and the clip's frames",
        )
