"""Writes a bundle's card: ``card.md`` and ``card.html``, the same text and drawings in both.

The same facts give the same bytes: nothing in it says when or where it was made.
"""

from __future__ import annotations

from model_export.card.contents import Facts, document
from model_export.card.markdown import markdown
from services.shared.document_page import page


def card(facts: Facts) -> dict[str, bytes]:
    """The card's files by name."""
    written = document(facts)
    return {"card.md": markdown(written).encode(), "card.html": page(written).encode()}
