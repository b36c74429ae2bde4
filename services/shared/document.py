"""A document of paragraphs, lists, tables and pictures, whichever way it is written down.

Texts may have `code` between backticks; everything else is shown as it stands. What comes
from data goes through :func:`plain` first, so that no product, group or file name can be
taken for markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Paragraph(NamedTuple):
    """Some sentences."""

    text: str


class Bullets(NamedTuple):
    """A list without an order."""

    items: Sequence[str]


class Table(NamedTuple):
    """Rows of cells under a head; all but the first ``words`` columns are numbers."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: int = 1


class Picture(NamedTuple):
    """A drawing that stands by itself, and in words what it shows."""

    name: str
    """Unique in the document; letters and hyphens."""
    caption: str
    svg: str


Block = Paragraph | Bullets | Table | Picture


class Section(NamedTuple):
    """Blocks under a title."""

    title: str
    blocks: Sequence[Block]


class Document(NamedTuple):
    """The whole."""

    title: str
    lead: str
    sections: Sequence[Section]


def plain(text: str) -> str:
    """Text of somebody else's on one line, without the one mark that means something here."""
    return " ".join(text.replace("`", "'").split())
