"""What the pages of this project share: their frame, tables that scroll, the pause switch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template

from brainflix.report.html import Child, Markup, element, render

_HERE = Path(__file__).resolve().parent


def page(
    title: str,
    heading: Child,
    sections: Mapping[str, Markup | None],
    names: Mapping[str, str],
    styles: Sequence[str] = ("page.css",),
) -> str:
    """Return a page that needs no other file.

    Parameters
    ----------
    title : str
        What the browser calls it.
    heading : Child
        What stands above the navigation.
    sections : mapping of str to Markup or None
        By identifier; None for one that is left out.
    names : mapping of str to str
        What the navigation calls each section.
    styles : sequence of str
        Style sheets of this package, in their order.
    """
    links = [
        element("a", names[name], href=f"#{name}")
        for name, section in sections.items()
        if section is not None
    ]
    navigation = element("nav", links, aria_label="Sections")
    return Template((_HERE / "page.html").read_text(encoding="utf-8")).substitute(
        title=render(title),
        style="".join((_HERE / name).read_text(encoding="utf-8") for name in styles),
        body=render([heading, navigation, *sections.values()]),
    )


def scrolling_table(
    heads: Sequence[str], bodies: Child, label: str, class_: str | None = None
) -> Markup:
    """Return a table that scrolls sideways where it is wider than the page."""
    table = element(
        "table",
        element("thead", element("tr", [element("th", head, scope="col") for head in heads])),
        bodies,
        class_=class_,
    )
    return element("div", table, class_="scroll", tabindex=0, role="region", aria_label=label)


def pause_switch() -> Markup:
    """Return the switch that stops all clips of a page."""
    return element(
        "label",
        element("input", type="checkbox", id="pause"),
        element("span", "Pause all clips"),
        class_="switch",
        for_="pause",
    )
