"""Whether the reconstructions have collapsed to a few outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainflix.clips.clips import VideoClips
from brainflix.errors import DataError
from brainflix.evaluation.audits.nearness import Space, nearest
from brainflix.evaluation.audits.splits import digests


@dataclass(frozen=True)
class CollapseAudit:
    """How much a set of reconstructions differs within itself, compared with the true clips.

    Attributes
    ----------
    space : str
        "clip" or "pixels", see :class:`Space`.
    n : int
        Clips.
    effective_rank, effective_rank_true : float
        In how many directions reconstructions and true clips differ.
    distinct_nearest : int
        How many true clips are the nearest of some reconstruction.
    distinct_expected : float
        How many would be if each reconstruction chose at random.
    ratio : float or None
        Of the two ranks; None where all true clips are equal.
    collapsed : bool
        Whether rank and distinct clips are both below half of what they are compared with.
    distinct_reconstructions : int
        How many differ in any pixel.
    identical_to_true : int
        How many equal the clip that they reconstruct.
    """

    space: str
    n: int
    effective_rank: float
    effective_rank_true: float
    distinct_nearest: int
    distinct_expected: float
    ratio: float | None
    collapsed: bool
    distinct_reconstructions: int = 0
    identical_to_true: int = 0


def effective_rank(rows: NDArray[Any]) -> float:
    """Return in how many directions rows differ: exp of the entropy of their singular values.

    Roy and Vetterli 2007. The mean is taken off; 1 where all lie on a line, 0 where all are equal.

    Parameters
    ----------
    rows : ndarray, shape (n, dim)
    """
    wide = np.asarray(rows, dtype=np.float64).reshape(len(rows), -1)
    centred = wide - wide.mean(axis=0)
    # Singular values from the smaller of the two Gram matrices, (n, n) or (dim, dim).
    gram = centred @ centred.T if centred.shape[0] <= centred.shape[1] else centred.T @ centred
    values = np.sqrt(np.clip(np.linalg.eigvalsh(gram), 0.0, None))
    # Rounding leaves tiny values where all rows are equal: those are no directions.
    if values.max() <= 1e-6 * max(1.0, float(np.abs(wide).max())):
        return 0.0
    share = values[values > values.max() * 1e-7] / values[values > values.max() * 1e-7].sum()
    return float(np.exp(-(share * np.log(share)).sum()))


def collapse(predicted: NDArray[Any], true: NDArray[Any], space: str) -> CollapseAudit:
    """Report whether a set of reconstructions has collapsed to a few outputs.

    A decoder that ignores the brain, or picks among a few training examples, gives reconstructions
    that differ in fewer directions than the clips do and that are nearest to the same few of them
    (spurious reconstruction: Shirakawa et al. 2025, doi 10.1016/j.neunet.2025.107515).

    Parameters
    ----------
    predicted, true : ndarray, shape (n, dim)
        Embeddings or thumbnails.
    space : str
        "clip" or "pixels".
    """
    n = len(true)
    if n != len(predicted):
        raise DataError("each clip needs one reconstruction", expected=n, found=len(predicted))
    places, _ = nearest(predicted, true, space)
    distinct = len(np.unique(places))
    expected = n * (1 - (1 - 1 / n) ** n)  # distinct clips among n draws of n with replacement
    ranks = effective_rank(predicted), effective_rank(true)
    ratio = ranks[0] / ranks[1] if ranks[1] > 0 else None
    collapsed = ratio is not None and ratio < 0.5 and distinct < 0.5 * expected
    return CollapseAudit(space, n, *ranks, distinct, expected, ratio, collapsed)


def collapse_audit(true: VideoClips, predicted: VideoClips, space: Space) -> CollapseAudit:
    """Return :func:`collapse` of clips, with the reconstructions that are copies."""
    found = collapse(space.rows(predicted), space.rows(true), space.name)
    made, shown = digests(predicted.frames), digests(true.frames)
    return CollapseAudit(
        **{
            **vars(found),
            "distinct_reconstructions": len(set(made)),
            "identical_to_true": sum(a == b for a, b in zip(made, shown, strict=True)),
        }
    )
