"""How a shop's files say what an event says: the mapping, a small TOML document.

Our names stand on the left, the file's on the right, but for ``[actions]``, which translates
the file's words. All of it may be left out: then the columns have our names.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Final, Literal, get_args
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from services.shared.errors import BadSetting

Name = Literal[
    "event_id",
    "user_id",
    "visitor_id",
    "session_id",
    "occurred_at",
    "attribution_token",
    "action",
    "product_id",
    "product_ids",
    "quantity",
    "order_id",
    "unit_price",
    "currency",
    "query",
    "result_count",
    "stars",
]
"""What a row may tell of an event."""

Action = Literal[
    "search",
    "view",
    "add_to_cart",
    "remove_from_cart",
    "purchase",
    "cancel",
    "impression",
    "click",
    "rating",
    "not_interested",
    "identify",
    "logout",
]

NAMES: Final[tuple[Name, ...]] = get_args(Name)
ACTIONS: Final[tuple[str, ...]] = get_args(Action)

_KEY: Final = re.compile(r"Invalid enum value '(.*)' - at `key` in `\$\.(\w+)`")


class Time(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How ``occurred_at`` is written."""

    format: Annotated[str, Meta(min_length=1, max_length=100)] = "iso"
    """``iso``, ``unix``, ``unix_ms``, ``unix_us`` or a pattern of Python's ``strptime``."""
    zone: Annotated[str, Meta(max_length=100)] = ""
    """Where its clock stood, such as ``Europe/Berlin``, for times that do not say."""


class Money(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How ``unit_price`` is written."""

    decimal: Literal[".", ","] = "."


class Csv(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the cells of a row are told apart."""

    delimiter: Literal[",", ";", "\t", "|"] = ","


class FileMapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From a file's columns to an event's."""

    columns: dict[Name, str] = {}
    """The column that has it, where that is not of our name."""
    constants: dict[Name, str] = {}
    """What holds for each row that does not say."""
    actions: dict[str, Action] = {}
    """The file's word for an action, where it is not ours."""
    time: Time = Time()
    money: Money = Money()
    csv: Csv = Csv()

    def taken_from(self, columns: Sequence[str]) -> dict[Name, str]:
        """Of a file with these columns, which is read for what.

        Raises BadSetting where one that the mapping names is missing, or where no row could
        become an event.
        """
        taken: dict[Name, str] = {}
        for name in NAMES:
            column = self.columns.get(name, name)
            if column in columns:
                taken[name] = column
            elif name in self.columns:
                raise BadSetting(f"has no column {column!r} for {name}; it has {_list(columns)}")
        told = taken.keys() | self.constants.keys()
        needed = [name for name in ("action", "occurred_at") if name not in told]
        if not told & {"user_id", "visitor_id"}:
            needed.append("user_id or visitor_id")
        if needed:
            raise BadSetting(
                f"does not say {', '.join(needed)}: name the column under [columns] of the "
                f"mapping, or a value under [constants]; it has {_list(columns)}"
            )
        return taken


def read_mapping(text: str) -> FileMapping:
    """Raises BadSetting, saying where in the document and what may stand there."""
    try:
        mapping = msgspec.toml.decode(text, type=FileMapping)
    except msgspec.MsgspecError as error:
        raise BadSetting(_sentence(str(error))) from error
    if "event_id" in mapping.constants:
        raise BadSetting("[constants] has event_id: events of one id count once, all of them")
    if mapping.time.zone:
        _zone(mapping.time.zone)
    return mapping


def _zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, LookupError) as error:
        raise BadSetting(
            f"time.zone {name!r} is not known; write one such as 'Europe/Berlin' or 'UTC'"
        ) from error


def _sentence(said: str) -> str:
    wrong = _KEY.fullmatch(said)
    if wrong is None:
        return said
    return f"[{wrong[2]}] has the unknown name {wrong[1]!r}; known are {', '.join(NAMES)}"


def _list(columns: Sequence[str]) -> str:
    return ", ".join(columns[:50]) + (", …" if len(columns) > 50 else "")
