"""What a pretraining is: from runs of several subjects to a folder that later stages load."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from brainflix.artifacts.stimuli import Array
from brainflix.config.recipe import PretrainingConfig
from brainflix.formats.voxel_space import VoxelSpace


@dataclass(frozen=True)
class Recordings:
    """A subject's runs, without what was shown.

    Parameters
    ----------
    subject : str
        "study/subject".
    runs : sequence of ndarray of float32, shape (volume, voxel)
        Selected voxels, in z. Runs that show test clips are not among them.
    voxels : VoxelSpace
        Where the voxels lie.
    """

    subject: str
    runs: Sequence[Array]
    voxels: VoxelSpace


class Pretraining(ABC):
    """Learns a model from recordings.

    Parameters
    ----------
    options : PretrainingConfig
        The section of the component: an instance of its own options.
    """

    def __init__(self, options: PretrainingConfig) -> None:
        self.options = options

    @abstractmethod
    def fit(self, recordings: Sequence[Recordings], folder: Path) -> None:
        """Learn a model and leave its files in a folder.

        Parameters
        ----------
        recordings : sequence of Recordings
        folder : Path
            Empty. Whoever names ``pretraining:NAME`` as a model gets this folder.
        """
