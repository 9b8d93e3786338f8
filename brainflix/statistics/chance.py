"""Chance and its P value, from clip-by-clip scores that are computed once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import permutations as orders_of
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainflix.errors import DataError

Floats = NDArray[np.float64]
_BLOCK = 4_000_000  # entries of an index matrix held at a time
_KEPT = 16_000_000  # entries of index matrices kept for the next metric
_LISTED = 5  # clips up to which all orders of a block are listed: 120 of them


@dataclass(frozen=True)
class PairBlocks:
    """Scores within blocks of clips: every reconstruction of a block against every clip of it.

    Attributes
    ----------
    rows : ndarray of int64, shape (block, clip)
        The clips of each block; no clip is in two.
    scores : ndarray of float64, shape (block, clip, clip)
        Entry (g, i, j): reconstruction ``rows[g, i]`` against clip ``rows[g, j]``.
    """

    rows: NDArray[np.int64]
    scores: Floats

    def __post_init__(self) -> None:
        blocks, size = self.rows.shape
        if self.scores.shape != (blocks, size, size):
            raise DataError(
                "scores of pairs have another shape",
                expected=(blocks, size, size),
                found=self.scores.shape,
            )


@dataclass(frozen=True)
class Scores:
    """A metric's score of each reconstruction against its own clip and against others.

    Attributes
    ----------
    own : ndarray of float64, shape (n,)
        Against the clip it reconstructs. Empty for a score of the whole set.
    others : ndarray of float64, shape (n, n), or None
        Reconstruction i against clip j, where all pairs were scored.
    blocks : tuple of PairBlocks
        Instead of ``others``, the pairs that were scored where all are too many.
    facts : mapping
        What else a reader should know about these scores, as JSON values.
    lower : bool
        Whether less is better.
    whole : float or None
        The value of a score of the whole set, which has no value for single clips.
    rows : ndarray of int64, or None
        The clips that were scored, where not all were; ``own`` and the rest are of these alone.
    """

    own: Floats
    others: Floats | None = None
    blocks: tuple[PairBlocks, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    lower: bool = False
    whole: float | None = None
    rows: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        n = len(self.own)
        if self.others is not None and self.others.shape != (n, n):
            raise DataError(
                "scores of pairs have another shape", expected=(n, n), found=self.others.shape
            )

    @property
    def value(self) -> float:
        """The mean over clips, or the score of the whole set."""
        return float(self.own.mean()) if self.whole is None else self.whole

    @property
    def paired(self) -> bool:
        """Whether reconstructions were scored against other clips too."""
        return self.others is not None or bool(self.blocks)

    def mismatched(self) -> float:
        """Return the mean score of a reconstruction with a clip that it does not reconstruct."""
        total, count = 0.0, 0
        for block in self._as_blocks():
            size = block.rows.shape[1]
            # Everything in the block but its diagonal.
            total += float(block.scores.sum() - np.einsum("gii->", block.scores))
            count += len(block.rows) * size * (size - 1)
        if count == 0:
            raise DataError("chance needs scores against other clips", found="own scores alone")
        return total / count

    def _as_blocks(self) -> tuple[PairBlocks, ...]:
        if self.others is None:
            return self.blocks
        return (PairBlocks(np.arange(len(self.own))[None], self.others[None]),)

    def permuted_means(self, draws: int, seed: int) -> Floats:
        """Return the mean scores of random pairings, in which each clip serves once, (draws,)."""
        rng = np.random.default_rng(seed)
        blocks = self._as_blocks()
        # Blocks are permuted each for itself; clips that are in no block keep their own scores.
        totals = np.zeros(draws)
        for block in blocks:
            totals += _permuted_sums(block.scores, draws, int(rng.integers(2**31)))
        covered = np.zeros(len(self.own), dtype=bool)
        for block in blocks:
            covered[block.rows] = True
        return np.asarray((totals + self.own[~covered].sum()) / len(self.own))


def of_matrix(matrix: Floats, pairs: bool, **facts: Any) -> Scores:
    """Return the scores of a matrix (reconstruction, clip); without pairs only the diagonal."""
    return Scores(np.diagonal(matrix).copy(), matrix if pairs else None, facts=facts)


@dataclass(frozen=True)
class Chance:
    """What the mean score is when reconstructions and clips are paired at random."""

    mean: float
    p: float
    permutations: int


def chance_level(scores: Scores, permutations: int, seed: int) -> Chance:
    """Return chance and the one-sided P value of a mean score by permuting the pairing.

    P = (b + 1) / (B + 1), with b the permutations whose mean reaches the observed one (Phipson and
    Smyth 2010, doi 10.2202/1544-6115.1585). With all pairs scored, the permutations are of all
    clips; with blocks they stay within each block, which is a permutation test of its own
    (restricted to strata drawn at random). Chance is the mean over all pairings, own ones with the
    weight 1 / n that they have among them; with blocks it is estimated from the pairs scored.

    Parameters
    ----------
    scores : Scores
        With ``others`` or ``blocks``.
    permutations : int
        How many pairings are drawn.
    seed : int
        Seed of the draws.

    Raises
    ------
    DataError
        Where scores against other clips are missing.
    """
    n = len(scores.own)
    # Among all pairings, a reconstruction meets its own clip in one of n.
    mean = scores.mismatched() * (1 - 1 / n) + scores.value / n
    means = scores.permuted_means(permutations, seed)
    sign = -1.0 if scores.lower else 1.0
    # Means equal but for rounding count as reached.
    reached = means * sign >= scores.value * sign - 1e-12 * max(1.0, abs(scores.value))
    return Chance(float(mean), (int(reached.sum()) + 1) / (permutations + 1), permutations)


def _permuted_sums(scores: Floats, draws: int, seed: int) -> Floats:
    """Return sums over blocks of scores (block, clip, clip) under random orders, (draws,)."""
    size = scores.shape[1]
    # Small blocks: all orders are listed once, and each block draws one of their sums.
    if size <= _LISTED:
        orders = np.array([*orders_of(range(size))])
        sums = scores[:, np.arange(size), orders].sum(axis=-1)  # (block, order)
        return _drawn_sums(sums, draws, np.random.default_rng(seed))
    # Large blocks: orders are drawn, (draw, clip), and index the scores.
    totals, rows = np.zeros(draws), np.arange(size)
    for k, block in enumerate(scores):
        start = 0
        for order in _orders(size, draws, seed + k):
            totals[start : start + len(order)] += block[rows, order].sum(axis=1)
            start += len(order)
    return totals


def _orders(size: int, draws: int, seed: int) -> Iterable[NDArray[Any]]:
    """Return random orders of ``size`` clips, (draws, size) in parts.

    The metrics of one set are permuted alike, so that the orders are drawn once for all of them.
    """
    drawn = _draw_orders if size * draws > _KEPT else _kept_orders
    return drawn(size, draws, seed)


@lru_cache(maxsize=1)
def _kept_orders(size: int, draws: int, seed: int) -> tuple[NDArray[Any], ...]:
    return tuple(_draw_orders(size, draws, seed))


def _draw_orders(size: int, draws: int, seed: int) -> Iterator[NDArray[Any]]:
    rng = np.random.default_rng(seed)
    rows, step = np.arange(size, dtype=np.min_scalar_type(size)), max(1, _BLOCK // size)
    for start in range(0, draws, step):
        yield rng.permuted(np.tile(rows, (min(step, draws - start), 1)), axis=1)


def _drawn_sums(choices: Floats, draws: int, rng: np.random.Generator) -> Floats:
    """Return sums over rows of one random choice from each row of (row, choice), (draws,)."""
    rows, options = choices.shape
    step = max(1, _BLOCK // rows)
    return np.concatenate(
        [
            choices[
                np.arange(rows), rng.integers(options, size=(min(step, draws - start), rows))
            ].sum(axis=1)
            for start in range(0, draws, step)
        ]
    )


def block_sample(n: int, size: int, seed: int) -> list[NDArray[np.int64]]:
    """Cut ``n`` clips into random blocks of about ``size``, whose lengths differ by 1 at most.

    Returns
    -------
    list of ndarray of int64, shape (block, clip)
        One array for each length of block; together they hold every clip once. Rows are in
        ascending order.
    """
    if not 2 <= size <= n:
        raise DataError("the blocks have an impossible size", expected=f"2 to {n}", found=size)
    # A random order, cut into parts of nearly equal length.
    order = np.random.default_rng(seed).permutation(n)
    parts = [np.sort(part) for part in np.array_split(order, max(1, n // size))]
    lengths = sorted({len(part) for part in parts})
    return [np.stack([part for part in parts if len(part) == found]) for found in lengths]
