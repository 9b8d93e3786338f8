"""A stage's folder of files: made aside, and put in place when all of them are whole."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path


@contextlib.contextmanager
def staged_folder(out: Path, last: str, owned: Sequence[str]) -> Iterator[Path]:
    """Yield a temporary folder whose content moves to ``out`` when the block succeeds.

    The file named ``last`` tells that the folder is complete: the old one goes first and the new
    one comes last. When the block raises, nothing in ``out`` has changed.

    Parameters
    ----------
    out : Path
        The stage's folder; other files in it are left alone.
    last : str
        The name of the artifact that other stages read.
    owned : sequence of str
        Glob patterns of what an earlier run of the stage may have left in ``out``.
    """
    out = out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    staging = out.parent / f".{out.name}.partial"
    shutil.rmtree(staging, ignore_errors=True)  # what a killed run left
    staging.mkdir()
    try:
        yield staging
        (out / last).unlink(missing_ok=True)
        for pattern in owned:
            for old in sorted(out.glob(pattern)):
                shutil.rmtree(old) if old.is_dir() else old.unlink()
        for new in sorted(staging.iterdir(), key=lambda path: path.name == last):
            new.replace(out / new.name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
