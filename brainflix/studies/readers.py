"""Readers by name, the forms of a study, and the ways into a study.

A reader is a component: a name, its own options (the class attribute ``Options``) and a module that
is imported when its name is used. This module imports none of them, so that a change in one reader
concerns those stages alone that use it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Generic, TypeVar

from brainflix.config.base import Section
from brainflix.config.studies import StudySource
from brainflix.errors import ConfigError
from brainflix.studies.options import validate_options
from brainflix.studies.study import Study, StudyForms

T = TypeVar("T")


class Kind(Generic[T]):
    """Components of one kind by name; a module is imported when its component is asked for.

    Parameters
    ----------
    kind : str
        What the components are, for error messages: "study reader".
    places : mapping of str to str
        Name to "module:attribute".
    """

    def __init__(self, kind: str, places: Mapping[str, str]) -> None:
        self.kind, self._places = kind, dict(places)
        self._registered: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that enters a component of an extension under ``name``."""

        def enter(component: T) -> T:
            if name in self:
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            self._registered[name] = component
            return component

        return enter

    def module(self, name: str) -> str:
        """Return the name of the module that holds a component, without importing it."""
        if name in self._places:
            return self._places[name].partition(":")[0]
        return str(self[name].__module__)

    def __getitem__(self, name: str) -> T:
        if name in self._registered:
            return self._registered[name]
        if name not in self._places:
            raise ConfigError(
                f"unknown {self.kind} {name!r}", expected="one of " + ", ".join(sorted(self))
            )
        module, _, attribute = self._places[name].partition(":")
        component: T = getattr(importlib.import_module(module), attribute)
        return component

    def __iter__(self) -> Iterator[str]:
        return iter({**self._places, **self._registered})

    def __contains__(self, name: object) -> bool:
        return name in self._places or name in self._registered


READERS: Kind[type[Study] | StudyForms] = Kind(
    "study reader",
    {
        "arrays": "brainflix.studies.estimates.arrays:ArrayStudy",
        "bids": "brainflix.studies.bids.study:BidsStudy",
        "bold_moments": "brainflix.studies.published.bold_moments.study:BOLD_MOMENTS",
        "bold5000": "brainflix.studies.published.bold5000:Bold5000Study",
        "cc2017": "brainflix.studies.published.cc2017.study:CC2017",
        "glmsingle": "brainflix.studies.estimates.glmsingle:GlmSingleStudy",
        "god": "brainflix.studies.published.god:GodStudy",
        "had": "brainflix.studies.published.had.study:HAD",
        "mosaic": "brainflix.studies.published.mosaic:MosaicStudy",
    },
)


def reader_class(source: StudySource) -> type[Study]:
    """Return the class that reads a study: the reader's, or that of the form on disk.

    Raises
    ------
    ConfigError
        For an unknown reader or form.
    """
    reader = READERS[source.reader]
    return reader.choose(source) if isinstance(reader, StudyForms) else reader


def reader_options(source: StudySource) -> Section:
    """Return the options of a study's reader, validated; no file of the study is opened.

    The reader ``arrays`` can take its options from a YAML file, which is read.

    Raises
    ------
    ConfigError
        For an unknown reader, form or option, or an impossible value: with the full name of the
        key, the nearest known option and the list of options.
    """
    reader = reader_class(source)
    where = f"options of study {source.root}"
    return validate_options(reader.Options, reader.given_options(source), source.reader, where)


def open_study(source: StudySource) -> Study:
    """Return the study at ``source``, understood by the reader that it names.

    Raises
    ------
    ConfigError
        For an unknown reader or an unknown option of the reader.
    """
    return reader_class(source)(source)


def source_files(source: StudySource, subject: str | None = None) -> list[Path]:
    """Return the files that a subject's runs are read from, or, for None, that the stimuli are.

    Paths start with ``source.root`` as it is written in the configuration. No image or video is
    opened, so that a workflow can ask at every start.

    Raises
    ------
    StudyError
        When the study or the subject does not exist, or a link leads out of the study.
    """
    return open_study(source).checked_files(subject)
