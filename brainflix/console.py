"""What a stage tells the person at the terminal: one line a stage, and progress bars."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def announce(stage: str, message: str) -> None:
    """Print one line: the stage's name, what it reads or leaves."""
    print(f"[{stage}] {message}", file=sys.stderr, flush=True)


def track(items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
    """Yield ``items`` under a progress bar; without a terminal, nothing is drawn."""
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import track as bar

    yield from bar(items, description=label, total=total, console=Console(stderr=True))
