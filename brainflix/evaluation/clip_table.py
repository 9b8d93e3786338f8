"""Scores of single clips: one row for each subject, clip, metric and system."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from brainflix.artifacts.store import atomic_path
from brainflix.errors import ArtifactError


class ClipScore(NamedTuple):
    """One score of one clip.

    Attributes
    ----------
    study, subject : str
        Empty where there are none.
    clip : str
        The clip that was shown.
    metric : str
    system : str
        What made the clip that is scored: the system under evaluation or a baseline.
    value : float
    """

    study: str
    subject: str
    clip: str
    metric: str
    system: str
    value: float

    @property
    def name(self) -> str:
        """The subject as the results name it, such as ``movie/sub-01``."""
        return subject_name(self.study, self.subject)


COLUMNS = ClipScore._fields


def subject_name(study: str, subject: str) -> str:
    """Return how the results name a subject: ``study/subject``, or the subject alone."""
    return f"{study}/{subject}" if study else subject


def write_csv(path: Path, scores: Sequence[ClipScore]) -> None:
    """Write a table of scores as CSV; numbers keep all their digits."""
    with atomic_path(path) as temporary:
        with open(temporary, "w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows((*row[:-1], repr(float(row.value))) for row in scores)


def write_parquet(path: Path, scores: Sequence[ClipScore]) -> None:
    """Write a table of scores as Parquet."""
    import pandas as pd

    table = pd.DataFrame(list(scores), columns=list(COLUMNS))
    with atomic_path(path) as temporary:
        table.to_parquet(temporary, index=False)


def read_parquet(path: Path) -> tuple[ClipScore, ...]:
    """Read what :func:`write_parquet` wrote.

    Raises
    ------
    ArtifactError
        When there is no such file, or its columns are others.
    """
    import pandas as pd

    if not path.is_file():
        raise ArtifactError("the table of scores is missing", expected="a file", where=path)
    table = pd.read_parquet(path)
    if list(table.columns) != list(COLUMNS):
        raise ArtifactError(
            "the table of scores has other columns",
            expected=list(COLUMNS),
            found=list(table.columns),
            where=path,
            remedy="run the evaluation again",
        )
    return tuple(ClipScore(*row) for row in table.itertuples(index=False, name=None))
