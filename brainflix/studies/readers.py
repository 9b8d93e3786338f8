"""The registry of study readers, and the two ways into a study."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

from brainflix.components import Registry
from brainflix.config.studies import StudySource
from brainflix.studies.study import Study

MODULES = {
    "arrays": "brainflix.studies.estimates.arrays",
    "bids": "brainflix.studies.bids.study",
    "bold_moments": "brainflix.studies.published.bold_moments.study",
    "bold5000": "brainflix.studies.published.bold5000",
    "cc2017": "brainflix.studies.published.cc2017.study",
    "had": "brainflix.studies.published.had.study",
    "glmsingle": "brainflix.studies.estimates.glmsingle",
    "god": "brainflix.studies.published.god",
    "mosaic": "brainflix.studies.published.mosaic",
}


class Readers(Registry[type[Study]]):
    """The registry of readers; the module of one of ours is imported when its name is used."""

    def __getitem__(self, name: str) -> type[Study]:
        if name in MODULES:
            importlib.import_module(MODULES[name])
        return super().__getitem__(name)

    def __iter__(self) -> Iterator[str]:
        return iter({**MODULES, **self._entries})

    def __contains__(self, name: object) -> bool:
        return name in MODULES or super().__contains__(name)


READERS = Readers("study reader")


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
