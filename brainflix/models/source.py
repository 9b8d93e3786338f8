"""Where a model lies: a folder, a hub id (``owner/name`` or ``owner/name@revision``) or
``embedded:NAME`` for the models that ship with brainflix.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from brainflix.errors import ModelError

EMBEDDED = Path(__file__).resolve().parents[1] / "embedded"
REMEDY = "copy the model again, or give a hub id, a whole folder or embedded:NAME"

_HUB_ID = re.compile(r"^(?P<id>[\w.-]+(/[\w.-]+)?)(@(?P<revision>[\w./-]+))?$")


@dataclass(frozen=True)
class Source:
    """Where a model lies.

    Attributes
    ----------
    name : str
        The name in the configuration.
    folder : Path or None
        The folder, when it is one.
    hub : str
        The hub id, when it is not.
    revision : str or None
        Commit, tag or branch of the hub repository.
    """

    name: str
    folder: Path | None = None
    hub: str = ""
    revision: str | None = None

    def file(self, relative: str) -> Path | None:
        """Return a file of the model, downloaded if need be, or None when there is none."""
        if self.folder is not None:
            path = self.folder / relative
            return path if path.is_file() else None
        import huggingface_hub
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

        with refusing(self, relative):
            try:
                found = huggingface_hub.hf_hub_download(self.hub, relative, revision=self.revision)
            except LocalEntryNotFoundError:
                raise  # the hub cannot be reached, and the file is not in its cache
            except EntryNotFoundError:
                return None
        return Path(found)

    def json(self, relative: str) -> dict[str, Any] | None:
        """Return a JSON file of the model, or None when there is none.

        Raises
        ------
        ModelError
            When it is not a JSON object.
        """
        path = self.file(relative)
        if path is None:
            return None
        with refusing(self, relative):
            content = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(content, dict):
                raise ValueError(f"a JSON object was expected, not {type(content).__name__}")
        return content

    def arguments(self, subfolder: str = "") -> tuple[str, dict[str, Any]]:
        """Return what ``from_pretrained`` takes to load a part."""
        location = self.hub if self.folder is None else str(self.folder)
        options = {"subfolder": subfolder} if subfolder else {}
        return location, {**options, **({"revision": self.revision} if self.revision else {})}


def resolve(name: str) -> Source:
    """Return where a model lies.

    Parameters
    ----------
    name : str
        ``embedded:NAME``, an existing folder, or a hub id, optionally with ``@revision``.

    Raises
    ------
    ModelError
        When there is no such embedded model or folder.
    """
    prefix, _, rest = name.partition(":")
    if prefix == "embedded" and rest:
        folder = EMBEDDED / rest
        if not re.fullmatch(r"[\w-]+", rest) or not folder.is_dir():
            known = sorted(
                p.name
                for p in EMBEDDED.iterdir()
                if p.is_dir() and not p.name.startswith(("_", "."))
            )
            raise ModelError(
                "no such embedded model", expected=f"one of {', '.join(known)}", found=name
            )
        return Source(name, folder)
    folder = Path(name).expanduser()
    if folder.is_dir():
        return Source(name, folder)
    match = _HUB_ID.match(name)
    if match is None or name.startswith("."):
        raise ModelError("no such model folder", expected="a folder", found="nothing", where=name)
    return Source(name, hub=match["id"], revision=match["revision"])


@contextmanager
def refusing(source: Source, part: str) -> Iterator[None]:
    """Turn whatever a loading library raises into a ModelError that names the part."""
    from safetensors import SafetensorError

    try:
        yield
    except ModelError:
        raise
    except (
        OSError,
        ValueError,
        RuntimeError,
        KeyError,
        TypeError,
        AttributeError,
        SafetensorError,
    ) as error:
        first = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelError(
            "a part of the model cannot be loaded",
            expected=f"a whole {part}",
            found=first[0][:300],
            where=source.name if source.folder is None else source.folder / part,
            remedy=REMEDY if source.folder is not None else f"{REMEDY}; is the hub reachable?",
        ) from error


def missing(source: Source, part: str) -> ModelError:
    beside: object = "nothing"
    if source.folder is not None:
        parent = (source.folder / part).parent
        if parent.is_dir():
            beside = ", ".join(sorted(p.name for p in parent.iterdir())) or "an empty folder"
        else:
            beside = f"no folder {parent.name}"
    return ModelError(
        "the model lacks a part",
        expected=part,
        found=beside,
        where=source.name if source.folder is None else source.folder,
        remedy=REMEDY,
    )


def path_in(subfolder: str, name: str) -> str:
    return f"{subfolder}/{name}" if subfolder else name
