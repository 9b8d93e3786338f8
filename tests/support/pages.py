"""A page taken apart, for the tests that look at it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise


class ParsedPage(HTMLParser):
    """Collects elements and checks that they are closed in their order."""

    void = frozenset({"meta", "link", "img", "input", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.void:
            assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of all elements of one kind."""
        return [attributes for name, attributes in self.tags if name == tag]

    def section(self, name: str) -> str:
        """Return the HTML of one section."""
        found = re.search(rf'<section id="{name}">.*?</section>', self.text, re.S)
        assert found is not None, name
        return found[0]

    @property
    def links(self) -> list[str]:
        """The sections that the navigation names."""
        navigation = re.search(r"<nav.*?</nav>", self.text, re.S)
        assert navigation is not None
        return re.findall(r'<a href="#(\w+)">', navigation[0])

    def check(self) -> None:
        """Assert what holds for every page: whole, self-contained, ids unique, pictures named."""
        assert self.open == []
        sources = [a[k] for _, a in self.tags for k in ("src", "srcset", "data") if a.get(k)]
        assert all(str(each).startswith("data:") for each in sources)
        assert "@import" not in self.text
        assert all(url.startswith("#") for url in re.findall(r"url\(([^)]*)\)", self.text))
        assert not re.search(r"https?://(?!www\.w3\.org)", self.text)
        ids = [a["id"] for _, a in self.tags if a.get("id")]
        assert len(ids) == len(set(ids))
        for link in self.all("a"):
            href = str(link["href"])
            assert not href.startswith("#") or href[1:] in ids, href
        assert all(a.get("alt") for a in self.all("img"))
        assert all(a.get("aria-label") for a in self.all("svg"))
        levels = [int(tag[1]) for tag, _ in self.tags if re.fullmatch(r"h[1-6]", tag)]
        assert levels[0] == 1
        assert all(b - a <= 1 for a, b in pairwise(levels))
        assert self.all("html")[0]["lang"] == "en"
        assert len(self.all("script")) == 1


def plain(markup: str) -> str:
    """Return the text of some HTML, words separated by single blanks."""
    return " ".join(re.sub(r"<[^>]+>", " ", markup).split())


def table_rows(markup: str, name: str) -> list[list[str]]:
    """Return the texts of the cells of a table's body."""
    table = re.search(rf'<table class="data" id="{name}">.*?</table>', markup, re.S)
    assert table is not None, name
    body = table[0].partition("<tbody>")[2]
    rows = re.findall(r"<tr.*?</tr>", body, re.S)
    return [[plain(c) for c in re.findall(r"<t[hd][^>]*>.*?</t[hd]>", r, re.S)] for r in rows]
