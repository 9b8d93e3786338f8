"""Which training clips validate, and the folds of cross-fitting: always whole groups of clips.

A group is a run or a segment. Neighbouring clips of a movie share volumes, and repeats share the
clip, so a split within a group would let a fit see what it is judged on.
"""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from brainflix.artifacts.stimuli import Clips, Labels
from brainflix.errors import DataError


def _generator(name: str, seed: int) -> np.random.Generator:
    """Return a generator for one study, so that adding a study changes no other study's split."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def validation_clips(clips: Clips, fraction: float, seed: int) -> Labels:
    """Choose validation clips of a study, the same for all its subjects.

    Parameters
    ----------
    clips : Clips
        The study's clips; only training clips are chosen.
    fraction : float
        Share of the training clips wanted, between 0 and 1. Whole groups are taken in random
        order as long as they bring the share nearer to it; at least one, never all.
    seed : int
        Seed of the choice.

    Returns
    -------
    ndarray of str, shape (validation clip,)
        In the order of the study.

    Raises
    ------
    DataError
        When there are fewer than two training groups.
    """
    training = clips.training
    groups, sizes = np.unique(clips.group[training], return_counts=True)
    if len(groups) < 2:
        raise DataError(
            f"{clips.study} has too few training groups to set some aside for validation",
            expected="at least two runs or segments of training clips",
            found=f"{len(groups)} of {int(training.sum())} clips",
            remedy="give the training clips groups (runs, segments) in the study's stimuli",
        )
    # Groups are taken in random order until another one would take the share further from that
    # wanted; the last group always stays in training.
    wanted = fraction * sizes.sum()
    order = _generator(clips.study, seed).permutation(len(groups))
    chosen: list[int] = []
    for place in order[:-1]:
        taken = sizes[chosen].sum()
        if chosen and abs(taken + sizes[place] - wanted) >= abs(taken - wanted):
            break
        chosen.append(int(place))
    return clips.clip[training & np.isin(clips.group, groups[chosen])]


def group_folds(groups: Labels, folds: int, seed: int) -> NDArray[np.int64]:
    """Deal rows to folds of similar size, all rows of a group to one fold.

    Parameters
    ----------
    groups : ndarray of str, shape (row,)
        The group of each row.
    folds : int
        Folds wanted; as many as there are groups when those are fewer.
    seed : int
        Seed of the order in which groups are dealt.

    Returns
    -------
    ndarray of int64, shape (row,)
        The fold of each row, from 0.

    Raises
    ------
    DataError
        When there are fewer than two groups.
    """
    unique, place, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if len(unique) < 2:
        raise DataError(
            "too few groups of clips to cross-validate",
            expected="at least two runs or segments of training clips",
            found=len(unique),
            remedy="give the training clips groups (runs, segments) in the study's stimuli",
        )
    # Each group, in random order, goes to the fold with the fewest rows so far.
    filled = np.zeros(min(folds, len(unique)), dtype=np.int64)
    fold = np.empty(len(unique), dtype=np.int64)
    for group in np.random.default_rng(seed).permutation(len(unique)):
        fold[group] = filled.argmin()
        filled[fold[group]] += sizes[group]
    return fold[place]
