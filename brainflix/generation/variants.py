"""What is generated from: predictions, baselines and true targets, read row by row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from brainflix.artifacts.store import open_artifact, read_strings
from brainflix.errors import ArtifactError, DataError
from brainflix.statistics.derangement import derangement


@dataclass(frozen=True)
class Rows:
    """Rows of a dataset on disk, one a clip.

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

    def __getitem__(self, clip: int) -> NDArray[np.float32]:
        """Return a clip's row as float32, or raise :class:`DataError` when it is not finite."""
        values = np.asarray(self.dataset[int(self.index[clip])], dtype=np.float32)
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
    """One way of making every test clip: the network, or a baseline.

    Attributes
    ----------
    name : {"network", "ridge", "shuffled", "oracle"}
    rows : mapping of str to Rows
        By target.
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


def _oracle_rows(path: Path, clips: Sequence[str], stack: ExitStack) -> Rows:
    """Return the true vectors of ``clips``."""
    file = stack.enter_context(open_artifact(path, "target"))
    place = {name: row for row, name in enumerate(read_strings(file["clip"]))}
    absent = [name for name in clips if name not in place]
    if absent:
        raise ArtifactError(
            "the target lacks clips that were predicted",
            expected=f"clip {absent[0]}",
            found=f"{len(place)} other clips",
            where=path,
        )
    return Rows(_dataset(file, "values"), np.array([place[name] for name in clips]))


def read_variants(
    predictions: h5py.File,
    targets: Mapping[str, Path],
    place: str,
    names: Sequence[str],
    wanted: Sequence[str],
    seed: int,
    stack: ExitStack,
) -> tuple[list[str], list[Variant]]:
    """Return the test clips and where each variant's vectors lie. Averaged predictions only.

    Parameters
    ----------
    predictions : h5py.File
        An open "predictions" artifact.
    targets : mapping of str to Path
        Target artifacts, for the oracle.
    place : str
        "study/subject".
    names : sequence of str
        Variants.
    wanted : sequence of str
        Targets that the generator takes.
    seed : int
        For the shuffle.
    stack : contextlib.ExitStack
        Keeps the target artifacts open.

    Raises
    ------
    ArtifactError
        When a subject, estimator, target or clip is missing.
    """
    clips = read_strings(_dataset(predictions, f"{place}/clip"))
    every = np.arange(len(clips))

    def predicted(estimator: str) -> dict[str, Rows]:
        return {
            target: Rows(_dataset(predictions, f"{place}/{estimator}/averaged/{target}"), every)
            for target in wanted
        }

    variants = []
    for name in names:
        if name == "oracle":
            rows = {}
            for target in wanted:
                if target not in targets:
                    raise ArtifactError("no target artifact for the oracle", expected=target)
                rows[target] = _oracle_rows(targets[target], clips, stack)
        elif name == "shuffled":
            order = derangement(len(clips), seed)
            rows = {target: found.take(order) for target, found in predicted("network").items()}
        else:
            rows = predicted(name)
        variants.append(Variant(name, rows))
    _check_shapes(variants, len(clips))
    return clips, variants


def _check_shapes(variants: Sequence[Variant], clips: int) -> None:
    for variant in variants:
        for target, rows in variant.rows.items():
            first = variants[0].rows[target].dataset
            if rows.dataset.shape[1:] != first.shape[1:] or len(rows.dataset) < clips:
                raise ArtifactError(
                    f"the vectors of {variant.name} have another shape than {variants[0].name}'s",
                    expected=f"{clips} x {first.shape[1:]}",
                    found=rows.dataset.shape,
                    where=f"{rows.dataset.file.filename}:{rows.dataset.name}",
                )


def training_mean(predictions: h5py.File, study: str, target: str) -> NDArray[np.float32]:
    """Return a target's mean over the training clips, as the regression stored it."""
    for name in (f"training_mean/{study}/{target}", f"training_mean/{target}"):
        if isinstance(predictions.get(name), h5py.Dataset):
            return np.asarray(predictions[name][()], dtype=np.float32)
    raise ArtifactError(
        "the predictions lack the training mean that generation.negative asks for",
        expected=f"training_mean/{target}",
        found="nothing",
        where=predictions.filename,
        remedy="set generation.negative to empty",
    )
