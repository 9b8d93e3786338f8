"""Which parts of a long training are done, so that a stopped one goes on where it was.

A part is found again only under the same key: the seed, the budget of the part, and the keys of
the parts that it was made from. The code is not in the key, so that what was trained survives the
correction of a fault in what comes after; to train anew after a change of the code, delete the
folder.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from brainflix.artifacts.store import read_json, write_json


class Ledger:
    """A folder with a note for each part that is done, and room for what an unfinished one keeps.

    Parameters
    ----------
    folder : Path
        Where notes and unfinished work lie.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def done(self, name: str, key: Mapping[str, Any]) -> bool:
        """Tell whether a part was finished under this key."""
        return self._same(self._note(name), key)

    def begin(self, name: str, key: Mapping[str, Any]) -> Path:
        """Forget that a part was done, and return the folder for what it keeps while it works.

        The folder holds what an earlier start under the same key left in it, and is empty
        otherwise.
        """
        self._note(name).unlink(missing_ok=True)
        scratch = self.folder / name
        if not self._same(scratch / "key.json", key):
            shutil.rmtree(scratch, ignore_errors=True)
            write_json(scratch / "key.json", key)
        return scratch

    def finish(self, name: str, key: Mapping[str, Any]) -> None:
        """Note that a part is done."""
        write_json(self._note(name), key)

    def _note(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    @staticmethod
    def _same(path: Path, key: Mapping[str, Any]) -> bool:
        return path.is_file() and read_json(path) == dict(key)
