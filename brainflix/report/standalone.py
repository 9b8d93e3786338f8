"""The page of an evaluation that stands alone, and all its other outputs."""

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
from brainflix.evaluation import output as tables
from brainflix.evaluation.evaluate import Evaluation, evaluated
from brainflix.evaluation.standalone.request import Request
from brainflix.report import evaluation_audits, evaluation_clips, evaluation_scores
from brainflix.report.evaluation_words import place_name
from brainflix.report.html import Markup
from brainflix.report.page import page

_NAVIGATION = {
    "summary": "In short",
    "table": "All numbers",
    "reconstructions": "Clips",
    "distributions": "Distributions",
    "comparison": "Comparison",
    "audits": "Audits",
    "metrics": "What they mean",
    "origin": "What was run",
}


def write_evaluation(request: Request, outputs: Mapping[str, Path]) -> None:
    """Evaluate, and write what is asked for; a table is printed where nothing is.

    Parameters
    ----------
    request : Request
    outputs : mapping of str to Path
        "json", "csv", "parquet", "html" and "latex" to files. Each is written whole or not at all,
        after everything has been computed.

    Raises
    ------
    BrainflixError
        Where the clips, tables, models or outputs cannot be used; nothing is written then.
    """
    check_outputs(outputs)
    with _ended_orderly(), evaluated(request) as found:
        pages = {"html": render_page(found)} if "html" in outputs else {}
        if "latex" in outputs:
            pages["latex"] = tables.latex(found.content)
        for kind, path in outputs.items():
            if kind in pages:
                tables.write_text(path, pages[kind])
            elif kind == "json":
                tables.write_content(path, found.content)
            elif kind == "csv":
                tables.write_csv(path, found.rows)
            else:
                tables.write_parquet(path, found.rows)
    if outputs:
        announce("evaluate", f"leaves {', '.join(str(path) for path in outputs.values())}")
    else:
        tables.print_table(found.content)


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
def _ended_orderly() -> Iterator[None]:
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


def render_page(found: Evaluation) -> str:
    """Return the page as HTML that needs no other file."""
    sections: dict[str, Markup | None] = {
        "summary": evaluation_scores.summary(found),
        "table": evaluation_scores.table(found),
        "reconstructions": evaluation_clips.section(found),
        "distributions": evaluation_scores.distributions(found),
        "comparison": evaluation_scores.comparison(found),
        "audits": evaluation_audits.section(found),
        "metrics": evaluation_scores.meanings(found),
        "origin": evaluation_audits.origin(found),
    }
    files = found.content["provenance"]["files"]
    return page(
        f"{place_name(files['reconstructed']['where'])} – brainflix evaluation",
        evaluation_scores.heading(found),
        sections,
        _NAVIGATION,
        styles=("page.css", "evaluation.css"),
    )
