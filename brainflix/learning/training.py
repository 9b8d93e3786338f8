"""Fitting a LightningModule the same way every time: optimiser, stopping, checkpoint, curves."""

from __future__ import annotations

import contextlib
import logging
import math
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from brainflix.errors import DataError

MONITOR = "validation_loss"


def configure(
    module: lightning.LightningModule, learning_rate: float, weight_decay: float
) -> dict[str, Any]:
    """Return AdamW and a schedule over the steps that the trainer expects.

    Weights of linear layers decay; biases, norms and temperatures do not. The learning rate rises
    over the first tenth of the steps and falls to zero along half a cosine.
    """
    trained = [p for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=learning_rate)
    steps = max(1, int(module.trainer.estimated_stepping_batches))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: one_cycle(step, steps))
    return {
        "optimizer": optimizer,
        "lr_scheduler": {"scheduler": schedule, "interval": "step"},
    }


def one_cycle(step: int, steps: int) -> float:
    """Return the share of the learning rate at a step, counted from 0, of ``steps``.

    torch's OneCycleLR gives another curve: it starts at a fraction of the rate that does not depend
    on the number of warm-up steps, anneals down to another fraction, and raises on one step more
    than it was told of, which happens when Lightning stops within an accumulation.
    """
    warm = max(1, steps // 10)
    if step < warm:
        return (step + 1) / (warm + 1)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm) / max(1, steps - warm))))


@dataclass(frozen=True)
class FitPlan:
    """How long and how precisely to fit.

    Parameters
    ----------
    max_epochs : int
        Epochs at most.
    patience : int
        Epochs without a lower validation loss before it stops.
    precision : str
        Lightning's name, such as "32-true" or "bf16-mixed".
    seed : int
        Of dropout.
    accumulate : int
        Batches a step of the optimiser.
    """

    max_epochs: int
    patience: int
    precision: str
    seed: int
    accumulate: int = 1


@dataclass
class Curves:
    """Every logged curve of a fit; epoch 0 is the state before the first step.

    Parameters
    ----------
    epochs : list of int
    values : dict of str to list
        A value an epoch, None where nothing was logged.
    best : int
        The epoch whose weights were kept.
    """

    epochs: list[int] = field(default_factory=list)
    values: dict[str, list[float | None]] = field(default_factory=dict)
    best: int = 0

    def add(self, epoch: int, metrics: dict[str, float]) -> None:
        """Append an epoch."""
        for name in metrics:
            self.values.setdefault(name, [None] * len(self.epochs))
        for name, curve in self.values.items():
            curve.append(metrics.get(name))
        self.epochs.append(epoch)

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {"epochs": self.epochs, "best": self.best, "curves": self.values}


def loss_change(curves: Mapping[str, Curves]) -> str:
    """Say by how much fits lowered the validation loss."""
    first = [curve.values[MONITOR][0] or 0.0 for curve in curves.values()]
    kept = [curve.values[MONITOR][curve.best] or 0.0 for curve in curves.values()]
    change = 1 - sum(kept) / sum(first) if sum(first) else 0.0
    return f"validation loss {change:.1%} below the start's"


class _Recorder(lightning.Callback):
    """Collects the metrics of each epoch."""

    def __init__(self) -> None:
        self.curves = Curves()

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, module: lightning.LightningModule
    ) -> None:
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self.curves.add(trainer.current_epoch + 1, metrics)


def fit(
    module: lightning.LightningModule,
    data: lightning.LightningDataModule,
    plan: FitPlan,
    folder: Path,
    name: str,
) -> tuple[Path, Curves]:
    """Fit a module that logs ``validation_loss`` and keep its best state.

    The state before the first step competes too, so a fit never ends worse, on the validation
    clips, than it began.

    Parameters
    ----------
    module : LightningModule
        Left with the weights of the last epoch; load the checkpoint for the best.
    data : LightningDataModule
        Training and validation batches.
    plan : FitPlan
    folder : Path
        Receives ``{name}.ckpt`` and ``logs/{name}`` (CSV and TensorBoard).
    name : str
        Of the model.

    Returns
    -------
    checkpoint : Path
        Weights and hyperparameters alone; opens with ``weights_only=True``.
    curves : Curves

    Raises
    ------
    DataError
        When the loss stops being finite.
    """
    recorder = _Recorder()
    keep = ModelCheckpoint(
        dirpath=folder, filename=name, monitor=MONITOR, save_weights_only=True, save_top_k=1
    )
    stop = EarlyStopping(monitor=MONITOR, patience=plan.patience, mode="min", check_finite=True)
    start = folder / f".{name}.start.ckpt"
    with _quiet(), _deterministic(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        trainer = _trainer(plan, folder / "logs" / name, [recorder, keep, stop])
        first = trainer.validate(module, datamodule=data, verbose=False)[0]
        recorder.curves.add(0, {key: float(value) for key, value in first.items()})
        trainer.save_checkpoint(start, weights_only=True)
        trainer.fit(module, datamodule=data)
    return _choose(start, folder / f"{name}.ckpt", keep, recorder.curves), recorder.curves


def _choose(start: Path, final: Path, keep: ModelCheckpoint, curves: Curves) -> Path:
    """Keep the better of the start and the best epoch under the final name."""
    losses = [value for value in curves.values[MONITOR] if value is not None]
    if not all(torch.isfinite(torch.tensor(losses))):
        start.unlink(missing_ok=True)
        raise DataError(
            "the validation loss is not finite",
            found=f"{losses[-1]} in epoch {curves.epochs[-1]}",
            remedy="lower learning_rate, or use precision 32-true",
        )
    curves.best = int(min(range(len(losses)), key=losses.__getitem__))
    chosen = start if curves.best == 0 else Path(keep.best_model_path)
    if chosen != final:
        chosen.replace(final)
    start.unlink(missing_ok=True)
    return final


def _trainer(plan: FitPlan, logs: Path, callbacks: list[lightning.Callback]) -> lightning.Trainer:
    logs.mkdir(parents=True, exist_ok=True)
    shown = sys.stderr.isatty()
    return lightning.Trainer(
        accelerator="auto",
        devices=1,
        precision=plan.precision,
        max_epochs=plan.max_epochs,
        accumulate_grad_batches=plan.accumulate,
        gradient_clip_val=1.0,
        callbacks=callbacks,
        logger=[
            CSVLogger(logs.parent, name=logs.name, version=""),
            TensorBoardLogger(logs.parent, name=logs.name, version=""),
        ],
        num_sanity_val_steps=0,
        log_every_n_steps=10,
        enable_progress_bar=shown,
        enable_model_summary=False,
        deterministic=True,
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence advice of Lightning that does not fit data in memory."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


@contextlib.contextmanager
def _deterministic() -> Iterator[None]:
    """Restore torch's global choice of algorithms, which the trainer changes."""
    before = torch.are_deterministic_algorithms_enabled()
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
