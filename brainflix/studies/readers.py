"""The registry of study readers, and the two ways into a study."""

from __future__ import annotations

from pathlib import Path

from brainflix.components import READERS
from brainflix.config.studies import StudySource
from brainflix.studies.study import Study


def open_study(source: StudySource) -> Study:
    """Return the study at ``source``, understood by the reader that it names.

    Raises
    ------
    ConfigError
        For an unknown reader or an unknown option of the reader.
    """
    return READERS[source.reader](source)


def source_files(source: StudySource, subject: str | None = None) -> list[Path]:
    """Return the files that a subject's runs are read from, or, for None, that the stimuli are.

    Paths start with ``source.root`` as it is written in the configuration. No image or video is
    opened, so that a workflow can ask at every start.

    Raises
    ------
    StudyError
        When the study or the subject is not there, or a link leads out of the study.
    """
    return open_study(source).checked_files(subject)
