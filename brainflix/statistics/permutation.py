"""Permutations that leave nothing in its place."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from brainflix.errors import DataError


def derangement(n: int, seed: int) -> NDArray[np.int64]:
    """Return a random permutation of ``range(n)`` that leaves nothing in its place.

    It is one cycle through all elements (Sattolo 1986).

    Raises
    ------
    DataError
        For fewer than two elements.
    """
    if n < 2:
        raise DataError(
            "one test clip cannot be shuffled",
            expected="at least two test clips",
            found=n,
            remedy="leave shuffled out of generation.baselines",
        )
    order = np.arange(n)
    rng = np.random.default_rng(seed)
    for last in range(n - 1, 0, -1):
        other = int(rng.integers(last))
        order[last], order[other] = order[other], order[last]
    return order
