"""Pickled pairs of betas and stimulus names, as the makers of several studies publish them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from brainflix.errors import StudyError
from brainflix.formats.pickle import read_pickle


def read_pair(path: Path) -> tuple[np.ndarray, Sequence[Any]]:
    """Return a pickled pair: betas (clip, repeat, voxel) and stimulus names.

    Raises
    ------
    StudyError
        When the pickle holds something else, or more than data.
    """
    content = read_pickle(path)
    if not (
        isinstance(content, tuple | list)
        and len(content) == 2
        and isinstance(content[0], np.ndarray)
        and isinstance(content[1], list | tuple | np.ndarray)
    ):
        raise StudyError(
            "the pickle holds no betas",
            expected="a pair: an array (clip, repeat, voxel) and a list of stimulus names",
            found=type(content).__name__,
            where=path,
        )
    return content[0], list(content[1])
