"""What a stage tells the person at the terminal: one line a stage, and progress bars.

With :func:`log_to`, everything the process prints goes to a file, and the announced lines, the
progress bars and the final error reach the terminal as well.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO, TypeVar

T = TypeVar("T")

_terminal: TextIO | None = None


def log_to(path: str | Path) -> None:
    """Send all output of this process, that of C libraries included, to a file.

    Lines given to :func:`say` and :func:`announce` go to the former standard error too.
    """
    global _terminal
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    _terminal = os.fdopen(os.dup(2), "w", encoding="utf-8", errors="replace", buffering=1)
    with open(path, "wb") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)


def say(text: str) -> None:
    """Print to standard error, and to the terminal where output goes to a log."""
    print(text, file=sys.stderr, flush=True)
    if _terminal is not None:
        print(text, file=_terminal, flush=True)


def announce(stage: str, message: str) -> None:
    """Print one line: the stage's name, what it reads or leaves."""
    say(f"[{stage}] {message}")


def track(items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
    """Yield ``items`` under a progress bar; without a terminal, nothing is drawn."""
    stream = _terminal or sys.stderr
    if not stream.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import track as bar

    console = Console(file=stream)
    yield from bar(items, description=label, total=total, console=console, transient=True)
