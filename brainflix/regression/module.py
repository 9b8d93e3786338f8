"""The regression as a LightningModule: a residual MLP with a head a target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightning
import torch
from torch import Tensor, nn

from brainflix.learning.batches import TrialBatch
from brainflix.learning.losses import head_loss
from brainflix.learning.training import configure
from brainflix.models.mlp import MLPConfig
from brainflix.models.residual_mlp import ResidualMLPConfig
from brainflix.models.swiglu import SwiGLUConfig
from brainflix.regression.options import ResidualNetworkOptions

TRUNKS: dict[str, type[ResidualMLPConfig] | type[MLPConfig] | type[SwiGLUConfig]] = {
    "residual": ResidualMLPConfig,
    "mlp": MLPConfig,
    "swiglu": SwiGLUConfig,
}
"""Shared blocks by name."""


class RegressionModule(lightning.LightningModule):
    """Scores of every target from the shared space.

    With ``use_linear`` the last columns of an input are the scores that ridge predicts. A head
    adds what it has learnt to its target's ridge scores, times a gain a component; heads start at
    zero and gains at one, so that the network starts as ridge.

    Parameters
    ----------
    features : int
        Columns of an input before the ridge scores.
    components : mapping of str to int
        Scores of each target.
    options : mapping
        The section :class:`brainflix.regression.options.ResidualNetworkOptions`, as plain values.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self, features: int, components: Mapping[str, int], options: Mapping[str, Any]
    ) -> None:
        super().__init__()
        self.options = ResidualNetworkOptions(**options)
        self.save_hyperparameters(
            {
                "features": features,
                "components": dict(components),
                "options": self.options.model_dump(mode="json"),
            }
        )
        self.targets = list(components)
        self.sizes = list(components.values())
        width = features + (sum(self.sizes) if self.options.use_linear else 0)
        self.features = features
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        self.entry = nn.Linear(width, self.options.width)
        self.trunk = TRUNKS[self.options.trunk](
            self.options.width, self.options.blocks, self.options.dropout
        ).build()
        self.heads = nn.ModuleList(nn.Linear(self.options.width, size) for size in self.sizes)
        self.gains = nn.ParameterList(nn.Parameter(torch.ones(size)) for size in self.sizes)
        if self.options.use_linear:
            for head in self.heads:
                nn.init.zeros_(head.weight)
                nn.init.zeros_(head.bias)

    def forward(self, inputs: Tensor) -> dict[str, Tensor]:
        """Predict the scores of every target.

        Parameters
        ----------
        inputs : Tensor, shape (trial, features [+ components of all targets])
            The shared space, what stands beside it, and the ridge scores in the targets' order.

        Returns
        -------
        dict of str to Tensor, shape (trial, component)
        """
        hidden = self.trunk(self.entry((inputs - self.mean) / self.scale))
        scores = [head(hidden) for head in self.heads]
        if self.options.use_linear:
            linear = inputs[:, self.features :].split(self.sizes, dim=1)
            scores = [
                gain * start + learnt
                for gain, start, learnt in zip(self.gains, linear, scores, strict=True)
            ]
        return dict(zip(self.targets, scores, strict=True))

    def _losses(
        self, predicted: Mapping[str, Tensor], targets: Tensor, clip: Tensor
    ) -> dict[str, Tensor]:
        """Return each head's weighted loss."""
        parts = dict(zip(self.targets, targets.split(self.sizes, dim=1), strict=True))
        return {
            name: head_loss(predicted[name], parts[name], clip, self.options.heads[name])
            for name in self.targets
        }

    def training_step(self, batch: TrialBatch, batch_index: int) -> Tensor:
        """Return the summed loss of a batch of all subjects."""
        predicted = self(torch.cat([*batch.rows.values()]))
        loss = torch.stack([*self._losses(predicted, batch.targets, batch.clip).values()]).sum()
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(batch.clip))
        return loss

    def validation_step(self, batch: TrialBatch, batch_index: int) -> None:
        """Log the loss of one subject's validation clips, predictions averaged over repeats.

        Averaged, because that is how test clips are predicted. Subjects weigh the same.
        """
        (subject,) = batch.rows
        clip = nn.functional.one_hot(batch.clip, len(batch.targets)).float()
        averaging = (clip / clip.sum(dim=0)).T  # (clip, trial)
        predicted = {
            name: averaging @ scores.float() for name, scores in self(batch.rows[subject]).items()
        }
        every = torch.arange(len(batch.targets), device=clip.device)
        losses = self._losses(predicted, batch.targets, every)
        total = torch.stack([*losses.values()]).sum()
        curves = {f"validation/{subject}/loss": total}
        curves |= {f"validation/{subject}/{name}": loss for name, loss in losses.items()}
        self.log_dict(curves, on_epoch=True, batch_size=1)
        self.log("validation_loss", total, on_epoch=True, batch_size=1, prog_bar=True)

    def configure_optimizers(self) -> dict[str, Any]:
        """Return AdamW with warm-up and cosine decay."""
        return configure(self, self.options.learning_rate, self.options.weight_decay)
