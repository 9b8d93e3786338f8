"""Which volumes hold the response to an event."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from brainflix.errors import DataError

_TIE = 1e-6  # volumes; lets half-way times round up in spite of binary fractions


@dataclass(frozen=True)
class ResponseWindows:
    """The volumes of each trial.

    Parameters
    ----------
    index : ndarray of int64, shape (trial, window)
        Volumes within the run; the last one is repeated where a window would leave the run.
    clamped : ndarray of bool, shape (trial,)
        Trials with a repeated volume.
    """

    index: np.ndarray
    clamped: np.ndarray


def response_windows(
    onset: np.ndarray, delay: float, window: int, repetition_time: float, n_volumes: int
) -> ResponseWindows:
    """Return the volumes in which the responses to events are read.

    A window starts at the volume nearest in time to ``onset + delay`` (half-way: the later one)
    and never leaves the run: volumes past its end are replaced by its last one, as MinD-Video
    (Chen et al., 2023) does, never by those of another run.

    Parameters
    ----------
    onset : ndarray of float, shape (trial,)
        Onsets in s from the time that the run's first volume stands for.
    delay : float
        Haemodynamic delay in s.
    window : int
        Volumes in a window.
    repetition_time : float
        TR in s.
    n_volumes : int
        Volumes of the run.

    Raises
    ------
    DataError
        When an event's response lies before the first volume.
    """
    # Half-way between two volumes, the later one is nearest; the tie is decided in spite of
    # rounding in the division.
    start = np.floor((np.asarray(onset) + delay) / repetition_time + 0.5 + _TIE).astype(np.int64)
    if len(start) and start.min() < 0:
        raise DataError(
            "the response to an event lies before the run's first volume",
            expected="onset + delay of 0 s or more",
            found=f"{float(np.min(onset)):g} s + {delay:g} s",
            remedy="lower preprocessing.cleaning.trim_start or correct events.tsv",
        )
    # (trial, window); volumes past the end become the last one.
    index = start[:, None] + np.arange(window)
    clamped = index[:, -1] >= n_volumes
    return ResponseWindows(np.minimum(index, n_volumes - 1), clamped)
