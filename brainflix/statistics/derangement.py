"""Shuffled pairings: random orders in which nothing keeps its place."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from brainflix.errors import DataError


def derangement(n: int, seed: int) -> NDArray[np.int64]:
    """Return a random order of ``range(n)`` in which nothing keeps its place.

    It is one cycle through all elements, drawn uniformly among all cycles (Sattolo 1986).

    Parameters
    ----------
    n : int
        The number of clips, at least 2.
    seed : int
        Seed of the order.

    Raises
    ------
    DataError
        For fewer than two clips.
    """
    if n < 2:
        raise DataError(
            "one clip cannot be shuffled",
            expected="at least two clips",
            found=n,
            remedy="leave the shuffled baseline out (generation.baselines)",
        )
    order = np.arange(n)
    rng = np.random.default_rng(seed)
    # Fisher and Yates's exchange, but never with itself: the result is a single cycle
    for last in range(n - 1, 0, -1):
        other = int(rng.integers(last))
        order[last], order[other] = order[other], order[last]
    return order
