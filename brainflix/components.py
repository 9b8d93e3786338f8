"""Names for interchangeable components: one class or function, one entry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from brainflix.errors import ConfigError

T = TypeVar("T")


class Registry(Generic[T]):
    """A mapping from a component's name in the configuration to the component.

    Parameters
    ----------
    kind : str
        What the entries are, for error messages: "study reader", "metric", ...
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that enters a component under ``name``."""

        def enter(component: T) -> T:
            if name in self._entries:
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            self._entries[name] = component
            return component

        return enter

    def __getitem__(self, name: str) -> T:
        try:
            return self._entries[name]
        except KeyError:
            raise ConfigError(
                f"unknown {self.kind} {name!r}", expected="one of " + ", ".join(sorted(self))
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries
