"""Writes a document as an HTML page that stands alone: no script, nothing fetched."""

from __future__ import annotations

import re
from html import escape
from typing import Final

from services.shared.document import Block, Bullets, Document, Paragraph, Picture, Table

STYLE: Final = """\
:root { color-scheme: light; }
body { margin: 0; background: #f4f5f7; color: #1d2433;
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 70rem; margin: 2rem auto; padding: 2.5rem 3rem; background: #fff;
  border: 1px solid #dfe3ea; border-radius: 10px; }
h1 { margin: 0 0 .5rem; font-size: 1.9rem; line-height: 1.2; overflow-wrap: anywhere; }
h2 { margin: 2.4rem 0 .8rem; padding-bottom: .3rem; border-bottom: 2px solid #e6e9ef;
  font-size: 1.25rem; }
.lead { font-size: 1.08rem; color: #414b5f; }
.wide { overflow-x: auto; }
p, li { max-width: 48rem; }
table { border-collapse: collapse; margin: 1rem 0; font-size: .82rem;
  font-variant-numeric: tabular-nums; }
th { text-align: left; background: #f4f5f7; font-weight: 600; }
th, td { padding: .32rem .6rem; border-bottom: 1px solid #e6e9ef; vertical-align: top; }
th.number, td.number { text-align: right; white-space: nowrap; }
figure { margin: 1.2rem 0; }
figure svg { max-width: 100%; height: auto; }
figcaption { font-size: .88rem; color: #5b6579; }
code { background: #f4f5f7; padding: .1rem .3rem; border-radius: 4px; font-size: .88em;
  overflow-wrap: anywhere; }
li { margin: .3rem 0; }
@media (max-width: 40rem) { main { margin: 0; padding: 1.2rem; border: 0; border-radius: 0; } }
@media print { body { background: #fff; } main { border: 0; margin: 0; padding: 0; } }"""

CODE: Final = re.compile(r"`([^`]*)`")


def page(document: Document) -> str:
    """The document as HTML."""
    title = escape(document.title)
    sections = "\n".join(
        f"<section>\n<h2>{_text(section.title)}</h2>\n"
        + "\n".join(_block(block) for block in section.blocks)
        + "\n</section>"
        for section in document.sections
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>\n{STYLE}\n</style>\n</head>\n<body>\n<main>\n"
        f'<h1>{title}</h1>\n<p class="lead">{_text(document.lead)}</p>\n{sections}\n'
        "</main>\n</body>\n</html>\n"
    )


def _block(block: Block) -> str:
    match block:
        case Paragraph(text):
            return f"<p>{_text(text)}</p>"
        case Bullets(items):
            return "<ul>\n" + "\n".join(f"<li>{_text(item)}</li>" for item in items) + "\n</ul>"
        case Table():
            return _table(block)
        case Picture(_, caption, svg):
            return (
                f'<figure role="img" aria-label="{escape(caption)}">\n{svg}\n'
                f"<figcaption>{_text(caption)}</figcaption>\n</figure>"
            )


def _table(table: Table) -> str:
    kinds = ["" if place < table.words else ' class="number"' for place in range(len(table.head))]
    head = "".join(
        f"<th{kind}>{_text(cell)}</th>" for kind, cell in zip(kinds, table.head, strict=True)
    )
    rows = "\n".join(
        "<tr>"
        + "".join(f"<td{kind}>{_text(cell)}</td>" for kind, cell in zip(kinds, row, strict=True))
        + "</tr>"
        for row in table.rows
    )
    return f'<div class="wide"><table>\n<tr>{head}</tr>\n{rows}\n</table></div>'


def _text(text: str) -> str:
    return CODE.sub(r"<code>\1</code>", escape(text))
