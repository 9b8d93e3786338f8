"""What a metric is, and the registry of all of them."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from brainflix.clips.clips import Clips, Feature
from brainflix.components import Registry
from brainflix.metrics.identification import nway_identified
from brainflix.metrics.networks import Judges
from brainflix.metrics.pairwise import PairKernel, score_pairs
from brainflix.statistics.chance import Scores


@dataclass(frozen=True)
class Note:
    """A metric in words, for the report."""

    title: str
    shows: str
    hides: str
    unit: str = ""
    short: str = ""  # for a narrow place, where it differs from the title
    better: str = "higher"


class Metric(ABC):
    """A family of scores that share a computation.

    Parameters
    ----------
    judges : Judges
        The pretrained models at hand; ``needs`` names those that this metric cannot do without.
    seed : int
        Seed of what the metric samples, if it samples.
    """

    needs: ClassVar[tuple[str, ...]] = ()
    ways: ClassVar[int] = 2  # of the n-way families; `lookup` sets it

    def __init__(self, judges: Judges, seed: int = 0) -> None:
        self.judges, self.seed = judges, seed

    def features(self) -> Mapping[str, Feature]:
        """Return what is computed of each clip by itself, by name; one pass serves all metrics."""
        return {}

    @abstractmethod
    def score(self, true: Clips, predicted: Clips, *, pairs: bool) -> dict[str, Scores]:
        """Return the scores by name.

        Parameters
        ----------
        true, predicted : Clips
            Clip i of one belongs to clip i of the other.
        pairs : bool
            Whether to score each reconstruction against other clips too, for chance.
        """

    @classmethod
    @abstractmethod
    def note(cls, name: str) -> Note:
        """Return what the score called ``name`` means."""

    @classmethod
    def obstacle(cls, judges: Judges) -> str | None:
        """Return why this metric cannot be computed with the models at hand, None if it can."""
        for need in cls.needs:
            reason = judges.lacks(need)
            if reason is not None:
                return reason
        return None


class PairMetric(Metric):
    """A score of two clips' frames, such as SSIM; its kernel may serve several metrics at once."""

    name: ClassVar[str]
    kernel: ClassVar[type[PairKernel]]
    lower: ClassVar[bool] = False

    def score(self, true: Clips, predicted: Clips, *, pairs: bool) -> dict[str, Scores]:
        wanted = {type(self).kernel: {self.name: self.lower}}
        return score_pairs(wanted, true, predicted, pairs=pairs, seed=self.seed)


class NWayIdentification(Metric):
    """Identification of the true clip among n, in closed form; the subclass says in which space."""

    space: ClassVar[str]
    words: ClassVar[str]  # what of a reconstruction is compared
    blind: ClassVar[str]  # what that does not see

    @abstractmethod
    def similarity(self, true: Clips, predicted: Clips) -> NDArray[np.float64]:
        """Return how alike every prediction and every clip are, (prediction, clip)."""

    def score(self, true: Clips, predicted: Clips, *, pairs: bool) -> dict[str, Scores]:
        similarity = self.similarity(true, predicted)
        name = f"{self.ways}way-identification@{self.space}"
        return {name: nway_identified(similarity, self.ways, pairs)}

    @classmethod
    def note(cls, name: str) -> Note:
        return Note(
            f"{cls.ways}-way identification by {cls.words}",
            shows=f"How often a reconstruction's {cls.words} is more like that of the clip that "
            f"was shown than those of {cls.ways - 1} other test clips, all at once: the mean over "
            f"all ways to draw these, in closed form. Chance is 1 in {cls.ways}.",
            hides="How far apart the test clips are: values of different sets of clips do not "
            f"compare. {cls.blind}",
            short=f"{cls.ways}-way {cls.space}",
        )


METRICS: Registry[type[Metric]] = Registry("metric")
_WAYS = re.compile(r"(?<![A-Za-z0-9])(\d+)way")


def lookup(name: str) -> type[Metric]:
    """Return a metric by its name; ``50way`` is the family ``nway`` with n = 50.

    Raises
    ------
    ConfigError
        When there is none of that name.
    """
    match = _WAYS.search(name)
    if match is None or name in METRICS:
        return METRICS[name]
    ways = int(match[1])
    family = METRICS[_WAYS.sub("nway", name)]
    return type(family.__name__, (family,), {"ways": ways, "__doc__": family.__doc__})


def note(name: str) -> Note:
    """Return what a score means, by its name in metrics.json."""
    family = "attributes" if name.startswith("attribute@") else name
    return lookup(family).note(name)
