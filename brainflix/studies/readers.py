"""The ways into a study: its reader's class, its options, the study itself, and its files.

Readers are components (:data:`brainflix.components.READERS`): a name, its own options (the class
attribute ``Options``) and a module that is imported when its name is used. This module imports none
of them, so that a change in one reader concerns those stages alone that use it.
"""

from __future__ import annotations

from pathlib import Path

from brainflix.components import READERS
from brainflix.config.base import Section
from brainflix.config.studies import StudySource
from brainflix.studies.options import validate_options
from brainflix.studies.study import Study, StudyForms


def reader_class(source: StudySource) -> type[Study]:
    """Return the class that reads a study: the reader's, or that of the form on disk.

    Raises
    ------
    ConfigError
        For an unknown reader or form.
    """
    reader: type[Study] | type[StudyForms] = READERS[source.reader]
    return reader.choose(source) if issubclass(reader, StudyForms) else reader


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
