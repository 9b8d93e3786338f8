"""A linear layer for each subject, from that subject's own voxels into one space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from brainflix.errors import ConfigError, DataError


@dataclass(frozen=True)
class SubjectHeadsConfig:
    """Shape of :class:`SubjectHeads`.

    Parameters
    ----------
    features : mapping of str to int
        Length of a subject's response (window x voxels), by subject; they may differ.
    dim : int
        Width of the space that all heads map to.
    dropout : float
        Share of a response's features dropped in training.
    """

    features: Mapping[str, int]
    dim: int
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if not self.features or min(self.features.values()) < 1 or self.dim < 1:
            raise ConfigError(
                "subject heads of impossible shape",
                expected="at least one subject, one feature for each subject and dim >= 1",
                found=self,
            )

    def build(self) -> SubjectHeads:
        """Return the heads with fresh weights, drawn from torch's global generator."""
        return SubjectHeads(self)


class SubjectHead(nn.Module):
    """Standardisation by stored statistics, dropout and a linear layer.

    Attributes
    ----------
    mean, scale : Tensor, shape (feature,), float32
        Of the subject's training responses; buffers, so that a checkpoint holds them.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, features: int, dim: int, dropout: float) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(features, dim)

    def standardize(self, responses: Tensor) -> Tensor:
        """Return responses (trial, feature) in units of the training deviation."""
        return (responses - self.mean) / self.scale

    def forward(self, responses: Tensor) -> Tensor:
        """Map (trial, feature) to (trial, dim)."""
        return self.linear(self.dropout(self.standardize(responses)))


class SubjectHeads(nn.Module):
    """One :class:`SubjectHead` for each subject."""

    def __init__(self, config: SubjectHeadsConfig) -> None:
        super().__init__()
        self.config = config
        # Heads are numbered, since a subject's name need not be valid as a module's.
        self._place = {subject: k for k, subject in enumerate(config.features)}
        self.heads = nn.ModuleList(
            SubjectHead(features, config.dim, config.dropout)
            for features in config.features.values()
        )

    def __getitem__(self, subject: str) -> SubjectHead:
        """Return a subject's head.

        Raises
        ------
        DataError
            For a subject that the heads were not made for.
        """
        if subject not in self._place:
            raise DataError(
                f"no head for the subject {subject}", expected=f"one of {', '.join(self._place)}"
            )
        head = self.heads[self._place[subject]]
        assert isinstance(head, SubjectHead)
        return head

    def set_statistics(self, subject: str, mean: Tensor, scale: Tensor) -> None:
        """Store the mean and deviation (feature,) of a subject's training responses."""
        head = self[subject]
        head.mean.copy_(mean)
        head.scale.copy_(scale)

    def forward(self, responses: Mapping[str, Tensor]) -> Tensor:
        """Map each subject's responses and concatenate the results.

        Parameters
        ----------
        responses : mapping of str to Tensor, shape (trial, feature), float32
            Responses by subject, with feature counts of their own.

        Returns
        -------
        Tensor, shape (trial over subjects, dim), float32
            In the order of ``responses``.

        Raises
        ------
        DataError
            For an unknown subject or another number of features.
        """
        parts = []
        for subject, rows in responses.items():
            head = self[subject]
            if rows.shape[-1] != len(head.mean):
                raise DataError(
                    f"responses of {subject} have another length than its head",
                    expected=len(head.mean),
                    found=rows.shape[-1],
                )
            parts.append(head(rows))  # (trial, feature) -> (trial, dim)
        return torch.cat(parts)
