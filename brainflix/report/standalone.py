"""All that ``brainflix evaluate`` writes: the page, JSON, tables, or a table on the terminal."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from brainflix.console import announce
from brainflix.errors import ConfigError
from brainflix.evaluation import tables
from brainflix.evaluation.clip_table import write_csv, write_parquet
from brainflix.evaluation.results import write_results
from brainflix.evaluation.standalone.request import EvaluationRequest
from brainflix.evaluation.standalone.source import evaluated
from brainflix.report.folders import folder_contents
from brainflix.report.page import render_page
from brainflix.report.sections import SECTIONS


def write_evaluation(request: EvaluationRequest, outputs: Mapping[str, Path]) -> None:
    """Evaluate, and write what is asked for; a table is printed where nothing is.

    Parameters
    ----------
    request : EvaluationRequest
    outputs : mapping of str to Path
        "json", "csv", "parquet", "html" and "latex" to files. Each is written whole or not at all,
        after everything has been computed.

    Raises
    ------
    BrainflixError
        Where the clips, tables, models or outputs cannot be used; nothing is written then.
    """
    check_outputs(outputs)
    with ended_orderly(), evaluated(request) as found:
        results = found.results
        # Texts are made while the clips can be read, and before anything is written.
        texts = {}
        if "html" in outputs:
            texts["html"] = render_page(folder_contents(found, outputs), SECTIONS)
        if "latex" in outputs:
            texts["latex"] = tables.latex(results)
    for kind, path in outputs.items():
        if kind in texts:
            tables.write_text(path, texts[kind])
        elif kind == "json":
            write_results(path, results)
        elif kind == "csv":
            write_csv(path, results.scores)
        else:
            write_parquet(path, results.scores)
    if outputs:
        announce("evaluate", f"writes {', '.join(str(path) for path in outputs.values())}")
    else:
        tables.print_table(results)


def check_outputs(outputs: Mapping[str, Path]) -> None:
    """Raise :class:`ConfigError` where an output cannot be written, before anything is computed."""
    places: dict[Path, str] = {}
    for kind, path in outputs.items():
        other = places.setdefault(path.absolute(), kind)
        if other != kind:
            raise ConfigError(
                "two outputs have one name", found=path, where=f"--{other} and --{kind}"
            )
        if path.is_dir():
            raise ConfigError(
                "an output is a folder", expected="a file", found=path, where=f"--{kind}"
            )
        ancestor = next(each for each in path.absolute().parents if each.exists())
        if not ancestor.is_dir() or not os.access(ancestor, os.W_OK):
            raise ConfigError(
                "an output cannot be written",
                expected="a folder that may be written to",
                found=ancestor,
                where=f"--{kind} {path}",
            )


@contextlib.contextmanager
def ended_orderly() -> Iterator[None]:
    """Let a request to terminate clean up like any error, in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, frame: Any) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
