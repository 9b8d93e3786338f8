"""The alignment as a LightningModule: responses of any subject into one space near CLIP's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import lightning
import torch
from torch import Tensor, nn

from brainflix.alignment.options import (
    GradientHeadsOptions,
    LinearHeadsOptions,
    RidgeHeadsOptions,
)
from brainflix.learning.batches import TrialBatch
from brainflix.learning.losses import contrastive_loss, cosines
from brainflix.learning.training import configure
from brainflix.models.residual_mlp import ResidualMLPConfig
from brainflix.models.subject_heads import SubjectHeadsConfig

_LARGEST_SCALE = 100.0  # of cosines, as in CLIP: keeps the learnt temperature at 0.01 or above


@dataclass
class Encoded:
    """What the alignment makes of trials.

    Parameters
    ----------
    input : Tensor, shape (trial, dim)
        Output of the subject's linear head.
    shared : Tensor, shape (trial, dim)
        Behind the shared residual blocks.
    embedding : Tensor, shape (trial, embedding dim)
        In the space of the clips' embeddings: the training mean, plus a deviation of the typical
        length in the predicted direction.
    """

    input: Tensor
    shared: Tensor
    embedding: Tensor


class AlignmentModule(lightning.LightningModule):
    """A linear head a subject, shared residual blocks, and a projection to the clips' embeddings.

    Gradients accumulate over subjects: a batch holds trials of every subject, its loss is a mean
    over all of them against all of the batch's clips, and one backward pass sums the subjects'
    gradients in the shared layers, while each head gets its own subject's. The option
    ``accumulate`` extends that sum over several batches before a step of the optimiser.

    With ridge heads, batches bring cross-fitted outputs of the heads (see
    :mod:`brainflix.alignment.linear_heads`) and only the layers behind the heads learn here.

    Parameters
    ----------
    features : mapping of str to int
        Length of each subject's response.
    embedding_dim : int
        Length of a clip's embedding.
    options : mapping
        The section :class:`brainflix.alignment.options.LinearHeadsOptions`, as plain values.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self, features: Mapping[str, int], embedding_dim: int, options: Mapping[str, Any]
    ) -> None:
        super().__init__()
        self.options = self._read(options)
        self.save_hyperparameters(
            {
                "features": dict(features),
                "embedding_dim": embedding_dim,
                "options": self.options.model_dump(mode="json"),
            }
        )
        dim, dropout = self.options.dim, self.options.dropout
        learnt = isinstance(self.options, GradientHeadsOptions)
        self.heads = SubjectHeadsConfig(features, dim, dropout if learnt else 0.0).build()
        self.heads.requires_grad_(learnt)
        self.trunk = ResidualMLPConfig(dim, self.options.blocks, dropout).build()
        self.projection = nn.Linear(dim, embedding_dim)
        self.log_scale = nn.Parameter(torch.tensor(-math.log(self.options.temperature)))
        self.register_buffer("mean", torch.zeros(embedding_dim))
        self.register_buffer("deviation", torch.ones(()))

    @staticmethod
    def _read(options: Mapping[str, Any]) -> LinearHeadsOptions:
        gradient = options.get("component") == "gradient"
        return (GradientHeadsOptions if gradient else RidgeHeadsOptions)(**options)

    @property
    def scale(self) -> Tensor:
        """Inverse of the learnt temperature, shape ()."""
        return self.log_scale.exp().clamp(max=_LARGEST_SCALE)

    def forward(self, responses: Mapping[str, Tensor]) -> Encoded:
        """Encode raw responses (trial, feature) by subject; rows follow the subjects' order."""
        return self.encode(self.heads(responses))

    def encode(self, inputs: Tensor) -> Encoded:
        """Encode outputs of the heads, (trial, dim)."""
        shared = self.trunk(inputs)
        direction = nn.functional.normalize(self.projection(shared).float(), dim=-1)
        return Encoded(inputs, shared, self.mean + self.deviation * direction)

    def _predict(self, batch: TrialBatch) -> Tensor:
        """Return predicted deviations from the mean embedding, (trial, embedding dim)."""
        learnt = isinstance(self.options, GradientHeadsOptions)
        inputs = self.heads(batch.rows) if learnt else torch.cat([*batch.rows.values()])
        return self.projection(self.trunk(inputs))

    def training_step(self, batch: TrialBatch, batch_index: int) -> Tensor:
        """Return the loss of a batch of all subjects."""
        targets = batch.targets - self.mean
        loss = contrastive_loss(self._predict(batch), targets, batch.clip, self.scale)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(batch.clip))
        return loss

    def validation_step(self, batch: TrialBatch, batch_index: int) -> None:
        """Log loss and retrieval of one subject's validation trials among its validation clips.

        Retrieval is the share of single trials whose own clip is the nearest. The mean loss gives
        every subject the same weight.
        """
        (subject,) = batch.rows
        targets = batch.targets - self.mean
        predicted = self._predict(batch)
        loss = contrastive_loss(predicted, targets, batch.clip, self.scale)
        similarity = cosines(predicted, targets)  # (trial, clip)
        retrieval = (similarity.argmax(dim=1) == batch.clip).float().mean()
        curves = {f"validation/{subject}/loss": loss, f"validation/{subject}/retrieval": retrieval}
        self.log_dict(curves, on_epoch=True, batch_size=1, add_dataloader_idx=False)
        means = {"validation_loss": loss, "validation_retrieval": retrieval}
        self.log_dict(means, on_epoch=True, batch_size=1, prog_bar=True)

    def configure_optimizers(self) -> dict[str, Any]:
        """Return AdamW with warm-up and cosine decay."""
        return configure(self, self.options.learning_rate, self.options.weight_decay)
