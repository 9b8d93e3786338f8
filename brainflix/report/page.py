"""The page: one frame, and sections that are shown where they have something to show.

A section is a module of :mod:`brainflix.report.sections` with a template of the same name next to
it. Its contract is :class:`PageSection`; to add one, write both files and enter the module in
:data:`brainflix.report.sections.SECTIONS`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from brainflix.evaluation.wording import capital
from brainflix.report.contents import Contents

_HERE = Path(__file__).resolve().parent


class PageSection(Protocol):
    """A module that shows one thing.

    Attributes
    ----------
    NAME : str
        Identifier on the page, and name of the template ``sections/NAME.html``.
    TITLE : str
        Heading, and name in the navigation.
    NEEDS : tuple of str
        Fields of :class:`Contents` that must not be empty.
    """

    NAME: str
    TITLE: str
    NEEDS: tuple[str, ...]

    def has_content(self, contents: Contents) -> bool:
        """Return whether there is anything to show; asked where all needs are there."""

    def view(self, contents: Contents) -> Mapping[str, Any]:
        """Return what the section's template is filled with."""


def shown_sections(sections: Sequence[PageSection], contents: Contents) -> list[PageSection]:
    """Return the sections that have something to show."""
    return [
        section
        for section in sections
        if all(getattr(contents, need) for need in section.NEEDS) and section.has_content(contents)
    ]


@functools.cache
def environment() -> Environment:
    """Return the templates of the page; what is put into them is escaped."""
    found = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["capital"] = capital
    return found


def section_html(section: PageSection, contents: Contents) -> Markup:
    """Return one section as HTML."""
    template = environment().get_template(f"sections/{section.NAME}.html")
    return Markup(template.render(section=section, **section.view(contents)))


def render_page(contents: Contents, sections: Sequence[PageSection]) -> str:
    """Return the page as HTML that needs no other file.

    Parameters
    ----------
    contents : Contents
    sections : sequence of PageSection
        All that there are, in their order.
    """
    shown = shown_sections(sections, contents)
    return (
        environment()
        .get_template("page.html")
        .render(
            contents=contents,
            parts=[(section, section_html(section, contents)) for section in shown],
            style=Markup((_HERE / "page.css").read_text(encoding="utf-8")),
            script=Markup((_HERE / "page.js").read_text(encoding="utf-8")),
        )
    )
