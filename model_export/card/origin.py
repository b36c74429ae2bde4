"""The card's section on data: what the model was made from, and what preparing it cost."""

from __future__ import annotations

from typing import Final

from model_export.card.limits import percent
from model_export.dataset import Prepared, Source
from model_export.exporting.origin import origin
from model_export.preparation.reasons import BY_NAME
from services.shared.document import Block, Bullets, Paragraph, Table, plain

HEAD: Final = ("about the data", "")


def data_blocks(data: Prepared) -> list[Block]:
    """Span, size and losses."""
    source = data.source
    blocks: list[Block] = [Table(HEAD, [*_span(source), *_size(data)], words=2), *_losses(source)]
    if source.limits:
        told = ", ".join(f"`{name}` {value:g}" for name, value in source.limits.items())
        blocks.append(Paragraph(f"Cleaned by {told}."))
    if source.notes:
        blocks.append(Bullets([plain(note) for note in source.notes]))
    return blocks


def _span(source: Source) -> list[tuple[str, str]]:
    told = origin(source)
    return [
        ("input", plain(source.name)),
        ("SHA-256", f"`{source.sha256}`"),
        ("first and last interaction", f"{told['first']} to {told['last']}"),
        ("split", source.split),
        ("validated from", str(told["validation_from"])),
        ("held out from", str(told["held_out_from"])),
    ]


def _size(data: Prepared) -> list[tuple[str, str]]:
    source, items = data.source, data.items[data.items < len(data.ids.items)]
    return [
        ("interactions", f"{source.rows_kept:,}"),
        *((f"of them: {plain(name)}", f"{rows:,}") for name, rows in source.actions.items()),
        ("users", f"{len(data.ids.users):,}"),
        ("products that somebody turned to", f"{len(set(items.tolist())):,}"),
        ("products in the catalogue", f"{source.catalogue_size:,}"),
        ("searches with different words", f"{len(data.ids.queries):,}"),
        ("vectors of words by", plain(source.encoder) or "nothing: there are none"),
    ]


def _losses(source: Source) -> list[Block]:
    read, lost = source.rows_read, source.rows_read - source.rows_kept
    said = f"Preparation read {read:,} rows and left out {lost:,} of them ({_share(lost, read)})"
    if not any(source.left_out.values()):
        return [Paragraph(f"{said}.")]
    rows = [
        (
            plain(BY_NAME[name].sentence if name in BY_NAME else name),
            f"{number:,}",
            _share(number, read),
        )
        for name, number in source.left_out.items()
        if number
    ]
    blocks: list[Block] = [Paragraph(f"{said}:"), Table(("rows left out", "", "share"), rows)]
    if source.bots:
        blocks.append(
            Paragraph(f"{source.bots:,} users were left out as programs, with all they did.")
        )
    return blocks


def _share(part: int, whole: int) -> str:
    return percent(part / max(1, whole))
