"""Running a generator by Lightning's Trainer, a batch at a time, on one device or several.

Each process leaves its batches as files in a folder beside the artifact; when all are done, the
first process puts them together in the order of the clips. So memory does not grow with the number
of clips, and the artifact does not depend on how many devices there were.
"""

from __future__ import annotations

import logging
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from brainflix.config.recipe import GenerationConfig
from brainflix.console import track
from brainflix.errors import ConfigError
from brainflix.generation.generators import Generator
from brainflix.generation.sources import Variant

Part = tuple[NDArray[np.int64], NDArray[np.uint8]]


class ClipRequests(Dataset):
    """Every clip of every variant as one item: its index, seed and vectors.

    Item ``v * clips + c`` is clip ``c`` of variant ``v``.
    """

    def __init__(self, variants: Sequence[Variant], seeds: Sequence[int]) -> None:
        self.variants, self.seeds = variants, seeds

    def __len__(self) -> int:
        return len(self.variants) * len(self.seeds)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return one clip's inputs by name."""
        number, clip = divmod(index, len(self.seeds))
        variant = self.variants[number]
        inputs = {name: rows[clip] for name, rows in variant.rows.items()}
        return {"index": index, "seed": self.seeds[clip], **inputs}


class FollowingRequests(Dataset):
    """Requests at one place of their films, with the clips before them.

    Parameters
    ----------
    requests : ClipRequests
    chosen : sequence of int
        Which requests.
    before : mapping of int to ndarray of uint8, shape (frame, height, width, 3)
        The generated clip before each of them that has one.
    shape : tuple of int
        (frame, height, width, 3), for those that have none.
    """

    def __init__(
        self,
        requests: ClipRequests,
        chosen: Sequence[int],
        before: Mapping[int, NDArray[np.uint8]],
        shape: tuple[int, ...],
    ) -> None:
        self.requests, self.chosen, self.before, self.shape = requests, chosen, before, shape

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, place: int) -> dict[str, Any]:
        """Return one clip's inputs by name, and the clip before."""
        index = self.chosen[place]
        known = index in self.before
        previous = self.before[index] if known else np.zeros(self.shape, np.uint8)
        return {**self.requests[index], "previous": previous, "has_previous": known}


class _PartWriter(BasePredictionWriter):
    """Write each batch to a file of its own."""

    def __init__(self, folder: Path) -> None:
        super().__init__(write_interval="batch")
        self.folder, self.fresh = folder, True

    def on_predict_start(self, trainer: Any, pl_module: Any) -> None:
        """Start with an empty folder; a killed run may have left one."""
        if trainer.is_global_zero and self.fresh:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
        trainer.strategy.barrier()
        batches = int(sum(trainer.num_predict_batches))
        self._bar = track(range(batches), "generate", batches) if trainer.is_global_zero else None

    def write_on_batch_end(
        self,
        trainer: Any,
        pl_module: Any,
        prediction: Any,
        batch_indices: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Write one batch under the number of its first clip."""
        index = prediction["index"].cpu().numpy()
        frames = prediction["frames"].cpu().numpy()
        np.savez(self.folder / f"{int(index[0]):09d}.npz", index=index, frames=frames)
        if self._bar is not None:
            next(self._bar, None)

    def on_predict_end(self, trainer: Any, pl_module: Any) -> None:
        """Wait for the other processes, and end the progress bar."""
        if self._bar is not None:
            for _ in self._bar:
                pass
        trainer.strategy.barrier()


def choose_precision(precision: str) -> str:
    """Return Lightning's precision for a section's: "auto" is bf16-mixed where that is fast.

    That is on GPUs with bfloat16 and on CPUs with bfloat16 instructions, where a clip costs about
    half of what it costs in float32, and differs from it by less than half a grey level.
    """
    if precision != "auto":
        return precision
    if torch.cuda.is_available():
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = bool(getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)())
    return "bf16-mixed" if fast else "32-true"


def make_trainer(options: GenerationConfig, writer: BasePredictionWriter) -> Trainer:
    """Return a trainer that only predicts: no logger, no checkpoints, no guessing about Slurm.

    Raises
    ------
    ConfigError
        When the machine has not as many devices as the section asks for.
    """
    try:
        return Trainer(
            accelerator="auto",
            devices=options.devices,
            precision=choose_precision(options.precision),  # type: ignore[arg-type]
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[writer],
            plugins=[LightningEnvironment()],
        )
    except MisconfigurationException as error:
        raise ConfigError(
            "the generation cannot run on these devices",
            expected="devices that this machine has",
            found=f"devices {options.devices}: {error}",
            where="generation.devices",
        ) from error


@contextmanager
def predict(
    module: Generator,
    requests: ClipRequests,
    options: GenerationConfig,
    out: Path,
    before: Sequence[int] | None = None,
) -> Iterator[Iterator[Part] | None]:
    """Generate all requests; yield an iterator over (index, frames) of batches.

    In all but the first of several processes it yields None: only one may write the artifact.

    Parameters
    ----------
    module : Generator
    requests : ClipRequests
    options : GenerationConfig
        Batch size, precision and devices.
    out : Path
        The artifact that will be written; batches lie next to it until then.
    before : sequence of int, optional
        The clip before each clip in its film, or -1. Given, clips are generated film place by film
        place, each with the one before it.
    """
    folder = out.parent / f".{out.stem}.parts"
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    writer = _PartWriter(folder)
    trainer = make_trainer(options, writer)

    def run(data: Dataset) -> None:
        loader = DataLoader(data, batch_size=options.batch_size, num_workers=0)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            warnings.filterwarnings("ignore", message=".*LeafSpec.*")  # of Lightning's own making
            trainer.predict(module, loader, return_predictions=False)

    try:
        if before is None:
            run(requests)
        else:
            for data in _film_places(requests, before, folder, module.clip_shape):
                run(data)
                writer.fresh = False
        yield _read_parts(folder) if trainer.is_global_zero else None
    finally:
        if trainer.is_global_zero:
            shutil.rmtree(folder, ignore_errors=True)


def _film_places(
    requests: ClipRequests, before: Sequence[int], folder: Path, shape: tuple[int, int, int]
) -> Iterator[FollowingRequests]:
    """Yield first clips of films, then second ones with what was generated for the first, ..."""
    count = len(before)
    place = [0] * count
    for clip in range(count):
        step, at = 0, before[clip]
        while at >= 0:
            step, at = step + 1, before[at]
        place[clip] = step
    for step in range(max(place, default=-1) + 1):
        made: dict[int, NDArray[np.uint8]] = {}
        if step:
            for index, frames in _read_parts(folder):
                made |= dict(zip(index.tolist(), frames, strict=True))
        chosen = [k for k in range(len(requests)) if place[k % count] == step]
        known = {
            k: made[k - k % count + before[k % count]] for k in chosen if before[k % count] >= 0
        }
        yield FollowingRequests(requests, chosen, known, (*shape, 3))


def _read_parts(folder: Path) -> Iterator[Part]:
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as part:
            yield part["index"], part["frames"]
