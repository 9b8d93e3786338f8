"""What a brain encoder is: from responses of several subjects to a space that they share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from brainflix.artifacts.stimuli import Array
from brainflix.config.recipe import AlignmentConfig
from brainflix.learning.cohort import Cohort
from brainflix.learning.training import Curves


@dataclass(frozen=True)
class Placed:
    """A subject's trials in the shared space, each a float32 array.

    Parameters
    ----------
    shared : ndarray, shape (trial, dim) or (trial, token, dim)
    embedding : ndarray, shape (trial, ...)
        The prediction of the aligned target, in its units and shape.
    input : ndarray, shape (trial, dim), optional
        What the subject's own layers made of the responses, before the shared ones.
    """

    shared: Array
    embedding: Array
    input: Array | None = None


class BrainEncoder(ABC):
    """Fitted once on the training trials of a cohort; encodes any trial of its subjects.

    An encoder gets (trial, window, voxel) and the voxels' places, and decides itself what to
    flatten, to average or to cut into patches.

    Parameters
    ----------
    options : AlignmentConfig
        The section of the component: an instance of its own options.
    """

    def __init__(self, options: AlignmentConfig) -> None:
        self.options = options

    @abstractmethod
    def fit(self, cohort: Cohort, folder: Path, name: str) -> tuple[dict[str, Placed], Curves]:
        """Fit on a cohort's training trials and encode all of its trials.

        Training trials are encoded as test trials will be: what would fit them too closely, such
        as a regression that saw them, is cross-fitted.

        Parameters
        ----------
        cohort : Cohort
            Trials, clips, embeddings of the aligned target, and the validation clips.
        folder : Path
            Receives what is needed to encode again.
        name : str
            Name of the model, and stem of its files.

        Returns
        -------
        placed : dict of str to Placed
            By "study/subject", in the order of the subject's trials.
        curves : Curves
            Training curves, with at least ``validation_loss``.
        """

    @classmethod
    @abstractmethod
    def load(cls, folder: Path, name: str) -> Self:
        """Return what :meth:`fit` left in a folder."""

    @abstractmethod
    def encode(self, subject: str, responses: Array) -> Placed:
        """Encode trials of a fitted subject.

        Parameters
        ----------
        subject : str
            "study/subject".
        responses : ndarray of float32, shape (trial, window, voxel)
        """
