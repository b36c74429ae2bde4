"""The report of a preparation, for people: what came in, what was lost and why, what is there."""

from __future__ import annotations

from datetime import UTC, datetime

from model_export.preparation.reasons import BY_NAME, LOSSES
from model_export.source import Source


def markdown(source: Source) -> str:
    """The report as Markdown that also reads well as plain text."""
    parts = [f"# {source.name}, prepared, split {source.split}", _rows(source), _holds(source)]
    if source.item_vectors or source.features:
        parts.append(_content(source))
    if source.products_lost:
        parts.append(_lost(source))
    parts.append(_limits(source))
    if source.notes:
        parts.append("\n".join(f"- {note}" for note in source.notes))
    return "\n\n".join(parts) + "\n"


def _rows(source: Source) -> str:
    lines = [f"{source.rows_kept:,} of {source.rows_read:,} rows are kept."]
    if source.left_out:
        lines += ["", "| left out | share | reason | rows that are |", "|---:|---:|---|---|"]
    for name, rows in source.left_out.items():
        share = rows / max(source.rows_read, 1)
        lines.append(f"| {rows:,} | {share:.2%} | `{name}` | {BY_NAME[name].sentence} |")
    if source.bots:
        lines += ["", f"{source.bots:,} users were left out as programs, with all that they did."]
    return "\n".join(lines)


def _holds(source: Source) -> str:
    cells = max(source.users * source.items, 1)
    lines = [
        "| what is there | |",
        "|---|---:|",
        f"| users | {source.users:,} |",
        *_groups(source),
        f"| items | {source.items:,} |",
        f"| items that are listed, and nobody touched | {source.untouched:,} |",
        f"| queries | {source.queries:,} |",
        f"| sessions | {source.sessions:,} |",
        *(f"| rows: {name} | {rows:,} |" for name, rows in source.actions.items()),
        f"| rows a user | {source.rows_kept / max(source.users, 1):.1f} |",
        f"| rows for a pair of user and item | {source.rows_kept / cells:.3e} |",
    ]
    if source.validation_from:
        lines += [
            f"| first | {_time(source.first_at)} |",
            f"| validates from | {_time(source.validation_from)} |",
            f"| held out from | {_time(source.held_out_from)} |",
            f"| last | {_time(source.last_at)} |",
        ]
    else:
        lines += [
            f"| first | {_time(source.first_at)} |",
            f"| last | {_time(source.last_at)} |",
        ]
    return "\n".join(lines)


def _groups(source: Source) -> list[str]:
    if not source.grouped and not source.grouped_elsewhere:
        return []
    return [
        f"| users whose group is known | {source.grouped:,} |",
        f"| users with a group, of whom no row is kept | {source.grouped_elsewhere:,} |",
    ]


def _content(source: Source) -> str:
    lines = [f"Products have {source.features:,} features between them."]
    if source.encoder:
        lines.append(
            f"{source.item_vectors:,} items and {source.query_vectors:,} queries have a vector, "
            f"by {source.encoder}."
        )
    return " ".join(lines)


def _lost(source: Source) -> str:
    lines = ["| lost of products | reason | what it is |", "|---:|---|---|"]
    sentences = {each.name: each.sentence for each in LOSSES}
    for name, count in source.products_lost.items():
        lines.append(f"| {count:,} | `{name}` | {sentences[name]} |")
    return "\n".join(lines)


def _limits(source: Source) -> str:
    told = ", ".join(f"`{name}` {value:g}" for name, value in source.limits.items())
    return f"Cleaned by {told}."


def _time(microseconds: int) -> str:
    moment = datetime.fromtimestamp(microseconds / 1_000_000, tz=UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%S")
