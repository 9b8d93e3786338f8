"""Shuffled pairings, in which nothing keeps its place."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from brainflix.errors import DataError
from brainflix.statistics.derangement import derangement


@pytest.mark.parametrize("n", [2, 3, 17])
def test_nothing_keeps_its_place(n: int) -> None:
    for seed in range(20):
        order = derangement(n, seed)
        assert sorted(order.tolist()) == list(range(n))
        assert (order != np.arange(n)).all()


def test_an_order_is_one_cycle_and_every_cycle_is_as_likely() -> None:
    drawn = Counter(tuple(derangement(4, seed).tolist()) for seed in range(1200))
    assert len(drawn) == 6  # (4 - 1)! cycles, of nine derangements
    assert max(drawn.values()) - min(drawn.values()) < 90  # 200 each, standard deviation 13
    for order in drawn:
        place, seen = 0, set()
        while place not in seen:
            seen.add(place)
            place = order[place]
        assert len(seen) == 4


def test_an_order_follows_from_its_seed() -> None:
    assert derangement(9, 1).tolist() == derangement(9, 1).tolist()
    assert derangement(9, 1).tolist() != derangement(9, 2).tolist()


def test_one_clip_is_refused() -> None:
    with pytest.raises(DataError, match="cannot be shuffled"):
        derangement(1, 0)
