"""The registry of study readers, and the two ways into a study."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

from brainflix.config import StudySource
from brainflix.registry import Registry
from brainflix.studies.study import Study

MODULES = {
    "arrays": "brainflix.studies.arrays",
    "bids": "brainflix.studies.bids",
    "bold_moments": "brainflix.studies.bold_moments",
    "bold5000": "brainflix.studies.bold5000",
    "cc2017": "brainflix.studies.cc2017",
    "had": "brainflix.studies.had",
    "glmsingle": "brainflix.studies.glmsingle",
    "god": "brainflix.studies.god",
    "mosaic": "brainflix.studies.mosaic",
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
