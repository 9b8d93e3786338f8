"""What a finetuning is: from training clips and trials to a folder that later stages load."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from brainflix.artifacts.responses import Trials
from brainflix.artifacts.stimuli import Array, Clips
from brainflix.config.recipe import FinetuningConfig


@dataclass(frozen=True)
class TrainingSet:
    """Training clips and the trials that show them. Nothing of a test clip is in it.

    Parameters
    ----------
    clips : mapping of str to Clips
        By study; training clips alone.
    frames : mapping of str to ndarray of uint8, shape (clip, frame, height, width, 3)
        By study.
    targets : mapping of str to mapping of str to ndarray of float32, shape (clip, ...)
        By study and target.
    trials : mapping of str to Trials
        By "study/subject"; training trials alone.
    """

    clips: Mapping[str, Clips]
    frames: Mapping[str, Array]
    targets: Mapping[str, Mapping[str, Array]]
    trials: Mapping[str, Trials]


class Finetuning(ABC):
    """Trains a model further.

    Parameters
    ----------
    options : FinetuningConfig
        The section of the component: an instance of its own options.
    """

    def __init__(self, options: FinetuningConfig) -> None:
        self.options = options

    @abstractmethod
    def fit(self, training: TrainingSet, folder: Path) -> None:
        """Train on a training set and leave the model's files in an empty folder."""
