"""HTML as nested function calls: text is escaped, and only this module makes markup."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Union

_VOID = frozenset({"img", "br", "input", "meta", "hr"})

Child = Union["Markup", str, int, None, Iterable["Child"]]


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def render(child: Child) -> Markup:
    """Return a child as HTML: markup as it is, text escaped, None as nothing, lists joined."""
    if child is None:
        return Markup()
    if isinstance(child, Markup):
        return child
    if isinstance(child, str | int):
        return Markup(escape(str(child)))
    return Markup("".join(render(each) for each in child))


def element(tag: str, *children: Child, **attributes: str | int | bool | None) -> Markup:
    """Return an element.

    Parameters
    ----------
    tag : str
        Its name.
    *children : str, Markup, None or iterables of these
        Its content.
    **attributes : str, int, bool or None
        ``class_`` and ``for_`` lose their underscore, other underscores become hyphens; True is
        an attribute without a value, False and None leave it out.
    """
    parts = [tag]
    for name, value in attributes.items():
        if value is None or value is False:
            continue
        label = name.rstrip("_").replace("_", "-")
        parts.append(label if value is True else f'{label}="{escape(str(value))}"')
    opening = f"<{' '.join(parts)}>"
    if tag in _VOID:
        return Markup(opening)
    return Markup(f"{opening}{render(children)}</{tag}>")
