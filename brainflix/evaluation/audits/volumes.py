"""Whether training and test windows of a run share volumes: leakage in continuous films."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from brainflix.errors import DataError


@dataclass(frozen=True)
class VolumeWindow:
    """The volumes from which a clip is reconstructed, or on which something is fitted.

    Attributes
    ----------
    run, split : str
    first, last : int
        Volumes, both included.
    clip : str
    """

    run: str
    split: str
    first: int
    last: int
    clip: str = ""


@dataclass(frozen=True)
class VolumeAudit:
    """Windows that share a volume across splits.

    Attributes
    ----------
    windows, runs : int
    test_windows : int
        Test windows that share a volume with a training window of their run.
    volumes : int
        Volumes that both splits use.
    gap : int or None
        The smallest number of volumes between a test and a training window of one run (negative:
        shared), None where no run holds both.
    examples : tuple of (str, str)
        The first few test and training windows that overlap, by clip.
    """

    windows: int
    runs: int
    test_windows: int
    volumes: int
    gap: int | None
    examples: tuple[tuple[str, str], ...]


def shared_volumes(windows: Sequence[VolumeWindow]) -> VolumeAudit:
    """Find windows of a run that share a volume across splits.

    Parameters
    ----------
    windows : sequence of VolumeWindow
        The trials of all subjects or of one; a run is one recording.
    """
    runs: dict[str, dict[str, list[VolumeWindow]]] = {}
    for window in windows:
        if window.last < window.first:
            raise DataError("a window ends before it begins", found=window)
        runs.setdefault(window.run, {}).setdefault(window.split, []).append(window)
    touched, volumes, examples = 0, 0, []
    gaps: list[int] = []
    for by_split in runs.values():
        test, train = by_split.get("test", []), by_split.get("train", [])
        volumes += len(_volumes(test) & _volumes(train))
        for window in test:
            distances = [max(o.first - window.last, window.first - o.last) - 1 for o in train]
            gaps += distances
            closest = min(distances, default=0)
            if distances and closest < 0:
                touched += 1
                examples.append((window.clip, train[distances.index(closest)].clip))
    gap = min(gaps) if gaps else None
    return VolumeAudit(len(windows), len(runs), touched, volumes, gap, tuple(examples[:20]))


def _volumes(windows: Sequence[VolumeWindow]) -> set[int]:
    return {volume for w in windows for volume in range(w.first, w.last + 1)}
