"""What a metric is: the base classes that every metric of the catalogue extends."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from brainflix.clips.clips import Feature, VideoClips
from brainflix.metrics.pairwise import PairKernel, score_pairs
from brainflix.statistics.chance import Scores

if TYPE_CHECKING:
    from brainflix.metrics.models import MetricModels


@dataclass(frozen=True)
class Note:
    """A metric in words, for the report.

    Attributes
    ----------
    title, short : str
        The metric's name in words; ``short`` is for narrow places, where it differs.
    shows, hides : str
        What a reader may conclude from the metric, and what it does not measure.
    unit : str
        The unit of its values; empty for a number without one.
    better : {"higher", "lower"}
        Which values are better.
    """

    title: str
    shows: str
    hides: str
    unit: str = ""
    short: str = ""
    better: str = "higher"


class Metric(ABC):
    """A family of scores that share a computation.

    Parameters
    ----------
    models : MetricModels
        The pretrained models that are loaded; the catalogue lists which of them a metric needs.
    seed : int
        Seed of whatever the metric draws at random.
    """

    ways: ClassVar[int] = 2  # n of the n-way families; `catalogue.lookup` reads it from the name

    def __init__(self, models: MetricModels, seed: int = 0) -> None:
        self.models, self.seed = models, seed

    def features(self) -> Mapping[str, Feature]:
        """Return what is computed of each clip on its own, by name.

        One pass over the frames computes the features of all metrics.
        """
        return {}

    @abstractmethod
    def score(self, true: VideoClips, predicted: VideoClips, *, pairs: bool) -> dict[str, Scores]:
        """Return the scores by name.

        Parameters
        ----------
        true, predicted : VideoClips
            Clip i of one belongs to clip i of the other.
        pairs : bool
            Whether to score each reconstruction against other clips too, for chance.
        """

    @classmethod
    @abstractmethod
    def note(cls, name: str) -> Note:
        """Return what the score called ``name`` means."""


class PairMetric(Metric):
    """A score of two clips' frames, such as SSIM; its kernel may serve several metrics at once."""

    name: ClassVar[str]
    kernel: ClassVar[type[PairKernel]]
    lower: ClassVar[bool] = False  # whether less is better

    def score(self, true: VideoClips, predicted: VideoClips, *, pairs: bool) -> dict[str, Scores]:
        wanted = {type(self).kernel: {self.name: self.lower}}
        return score_pairs(wanted, true, predicted, pairs=pairs, seed=self.seed)
