"""Writes a document as Markdown that also reads well as plain text.

Pictures are data URIs, named at the end, so that the file stands alone and its text is not
torn apart.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from typing import Final

from services.shared.document import Block, Bullets, Document, Paragraph, Picture, Table

MARKUP: Final = re.compile(r"([\\*_\[\]<>|])")
CODE: Final = re.compile(r"(`[^`]*`)")


def markdown(document: Document) -> str:
    """The document as Markdown."""
    parts = [f"# {_text(document.title)}", _text(document.lead)]
    pictures: list[Picture] = []
    for section in document.sections:
        parts.append(f"## {_text(section.title)}")
        parts += [_block(block) for block in section.blocks]
        pictures += [block for block in section.blocks if isinstance(block, Picture)]
    parts.append("\n".join(_reference(picture) for picture in pictures))
    return "\n\n".join(part for part in parts if part) + "\n"


def _block(block: Block) -> str:
    match block:
        case Paragraph(text):
            return _text(text)
        case Bullets(items):
            return "\n".join(f"- {_text(item)}" for item in items)
        case Table():
            return _table(block)
        case Picture(name, caption, _):
            return f"![{_text(caption)}][{name}]"


def _table(table: Table) -> str:
    rows = [[_text(cell) for cell in row] for row in (table.head, *table.rows)]
    widths = [max(3, *(len(cell) for cell in column)) for column in zip(*rows, strict=True)]
    is_word = [number < table.words for number in range(len(widths))]
    rule = [
        "-" * width if word else "-" * (width - 1) + ":"
        for width, word in zip(widths, is_word, strict=True)
    ]
    return "\n".join(_row(cells, widths, is_word) for cells in (rows[0], rule, *rows[1:]))


def _row(cells: Sequence[str], widths: Sequence[int], is_word: Sequence[bool]) -> str:
    padded = [
        cell.ljust(width) if word else cell.rjust(width)
        for cell, width, word in zip(cells, widths, is_word, strict=True)
    ]
    return f"| {' | '.join(padded)} |"


def _reference(picture: Picture) -> str:
    return f"[{picture.name}]: data:image/svg+xml;base64,{b64encode(picture.svg.encode()).decode()}"


def _text(text: str) -> str:
    """With a backslash before whatever Markdown would take for markup, but for code."""
    parts = CODE.split(text)
    parts[::2] = [MARKUP.sub(r"\\\1", part) for part in parts[::2]]
    return "".join(parts).replace("\\|", "&#124;")
