"""Where each input of a generator or captioner comes from, and its rows in each variant.

A variant is one way of making every test clip: the network's predictions, ridge's, the network's
handed to other clips, or the true vectors. Whatever a node takes from another node it takes in the
same variant, so that baselines and oracle hold for the whole graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from brainflix.artifacts.store import open_artifact, read_strings
from brainflix.errors import ArtifactError, DataError
from brainflix.statistics.derangement import derangement


@dataclass(frozen=True)
class Connection:
    """One connected input.

    Parameters
    ----------
    sort : {"target", "generator", "captioner"}
        What it is.
    name : str
        Of the target, generator or captioner.
    file : Path
        The "predictions" artifact of the target's path, the generator's "videos" or the
        captioner's "captions".
    target : Path, optional
        The "target" artifact, for the oracle.
    """

    sort: str
    name: str
    file: Path
    target: Path | None = None

    @property
    def files(self) -> list[Path]:
        """All files that the input is read from."""
        return [self.file] if self.target is None else [self.file, self.target]


@dataclass(frozen=True)
class Rows:
    """Rows of a dataset on disk, one for each clip.

    Attributes
    ----------
    dataset : h5py.Dataset, shape (row, ...)
    index : ndarray of int64, shape (clip,)
        The row of each clip.
    """

    dataset: h5py.Dataset
    index: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, clip: int) -> Any:
        """Return a clip's row: float32, uint8 for frames, or text.

        Raises
        ------
        DataError
            When a vector is not finite.
        """
        row = self.dataset[int(self.index[clip])]
        if isinstance(row, bytes | str):
            return row.decode() if isinstance(row, bytes) else row
        values = np.asarray(row)
        if values.dtype == np.uint8:
            return values
        values = values.astype(np.float32)
        if not np.isfinite(values).all():
            raise DataError(
                "a vector to generate from is not finite",
                found=f"row {int(self.index[clip])} of {self.dataset.name}",
                where=self.dataset.file.filename,
            )
        return values

    def take(self, order: NDArray[np.int64]) -> Rows:
        """Return the same rows in another order of clips."""
        return Rows(self.dataset, self.index[order])


@dataclass(frozen=True)
class Variant:
    """One way of making every test clip.

    Attributes
    ----------
    name : {"network", "ridge", "shuffled", "oracle"}
    rows : mapping of str to Rows
        By input.
    """

    name: str
    rows: Mapping[str, Rows]


def _dataset(file: h5py.File, name: str) -> h5py.Dataset:
    found = file.get(name)
    if not isinstance(found, h5py.Dataset):
        raise ArtifactError(
            "the artifact lacks a dataset", expected=name, found="nothing", where=file.filename
        )
    return found


def _named_rows(dataset: h5py.Dataset, held: Sequence[str], clips: Sequence[str]) -> Rows:
    """Return the rows of ``clips`` in a dataset whose rows are those of ``held``."""
    place = {name: row for row, name in enumerate(held)}
    absent = [name for name in clips if name not in place]
    if absent:
        raise ArtifactError(
            "an artifact lacks clips that were predicted",
            expected=f"clip {absent[0]}",
            found=f"{len(place)} other clips",
            where=dataset.file.filename,
        )
    return Rows(dataset, np.array([place[name] for name in clips], dtype=np.int64))


def test_clips(connections: Mapping[str, Connection], place: str, stimuli: Path) -> list[str]:
    """Return the clips to make: those that the first connected input has.

    A node without inputs makes the study's test clips.

    Parameters
    ----------
    connections : mapping of str to Connection
        By input.
    place : str
        "study/subject".
    stimuli : Path
        The study's "stimuli" artifact.
    """
    for connection in connections.values():
        kind = _KINDS[connection.sort]
        with open_artifact(connection.file, kind) as file:
            name = f"{place}/clip" if connection.sort == "target" else "clip"
            return read_strings(_dataset(file, name))
    with open_artifact(stimuli, "stimuli") as file:
        splits = read_strings(file["split"])
        named = zip(read_strings(file["clip"]), splits, strict=True)
        return [clip for clip, split in named if split == "test"]


_KINDS = {"target": "predictions", "generator": "videos", "captioner": "captions"}


def read_variants(
    connections: Mapping[str, Connection],
    clips: Sequence[str],
    place: str,
    names: Sequence[str],
    seed: int,
    stack: ExitStack,
) -> list[Variant]:
    """Return where the rows of each variant's inputs lie. Averaged predictions only.

    Parameters
    ----------
    connections : mapping of str to Connection
        By input.
    clips : sequence of str
        Test clips.
    place : str
        "study/subject".
    names : sequence of str
        Variants.
    seed : int
        Seed of the shuffle.
    stack : contextlib.ExitStack
        Keeps the files open.

    Raises
    ------
    ArtifactError
        When a subject, estimator, target, variant or clip is missing.
    """
    opened = {
        name: stack.enter_context(open_artifact(each.file, _KINDS[each.sort]))
        for name, each in connections.items()
    }
    variants = []
    for variant in names:
        rows = {}
        for name, connection in connections.items():
            file = opened[name]
            if connection.sort == "target":
                rows[name] = _target_rows(file, connection, variant, clips, place, seed, stack)
            else:
                group = "frames" if connection.sort == "generator" else "text"
                dataset = _dataset(file, f"{group}/{variant}")
                rows[name] = _named_rows(dataset, read_strings(file["clip"]), clips)
        variants.append(Variant(variant, rows))
    _check_shapes(variants)
    return variants


def _target_rows(
    predictions: h5py.File,
    connection: Connection,
    variant: str,
    clips: Sequence[str],
    place: str,
    seed: int,
    stack: ExitStack,
) -> Rows:
    """Return a target's rows: predicted, handed to other clips, or the truth."""
    if variant == "oracle":
        if connection.target is None:
            raise ArtifactError("no target artifact for the oracle", expected=connection.name)
        file = stack.enter_context(open_artifact(connection.target, "target"))
        return _named_rows(_dataset(file, "values"), read_strings(file["clip"]), clips)
    estimator = "network" if variant == "shuffled" else variant
    dataset = _dataset(predictions, f"{place}/{estimator}/averaged/{connection.name}")
    held = read_strings(_dataset(predictions, f"{place}/clip"))
    if len(dataset) < len(held):
        raise ArtifactError(
            f"the vectors of {variant} have another shape",
            expected=f"{len(held)} rows",
            found=dataset.shape,
            where=f"{predictions.filename}:{dataset.name}",
        )
    rows = _named_rows(dataset, held, clips)
    return rows.take(derangement(len(clips), seed)) if variant == "shuffled" else rows


def _check_shapes(variants: Sequence[Variant]) -> None:
    for variant in variants:
        for name, rows in variant.rows.items():
            first = variants[0].rows[name].dataset
            if rows.dataset.shape[1:] != first.shape[1:]:
                raise ArtifactError(
                    f"the vectors of {variant.name} have another shape than {variants[0].name}'s",
                    expected=f"{len(rows)} x {first.shape[1:]}",
                    found=rows.dataset.shape,
                    where=f"{rows.dataset.file.filename}:{rows.dataset.name}",
                )


def training_mean(connection: Connection, study: str) -> NDArray[np.float32]:
    """Return a target's mean over the training clips, as the decoding path stored it."""
    with open_artifact(connection.file, "predictions") as predictions:
        for name in (
            f"training_mean/{study}/{connection.name}",
            f"training_mean/{connection.name}",
        ):
            if isinstance(predictions.get(name), h5py.Dataset):
                return np.asarray(predictions[name][()], dtype=np.float32)
    raise ArtifactError(
        "the predictions lack the training mean that generation.negative asks for",
        expected=f"training_mean/{connection.name}",
        found="nothing",
        where=connection.file,
        remedy="set generation.negative to empty",
    )
