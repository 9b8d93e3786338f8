"""Components that only one test knows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from brainflix import components
from brainflix.components import Kind


@contextmanager
def own_components() -> Iterator[None]:
    """Forget at the end what is registered, and which extensions are loaded, inside."""
    kinds = [kind for kind in vars(components).values() if isinstance(kind, Kind)]
    entries = [dict(kind._entries) for kind in kinds]
    extensions = dict(components._EXTENSIONS)
    try:
        yield
    finally:
        for kind, before in zip(kinds, entries, strict=True):
            kind._entries = before
        components._EXTENSIONS.clear()
        components._EXTENSIONS.update(extensions)
