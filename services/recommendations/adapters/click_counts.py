"""What attribution has counted of a canary's answers, and of the served bundle's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from services.recommendations.adapters.child import Ended, run
from services.recommendations.domain.guards import Clicks
from services.recommendations.domain.next_step import HOUR, Counted
from services.shared.errors import ServingRefused, StepUnfinished

WITHIN: Final = 120.0
"""Seconds that attribution may take."""
MOST_DAYS: Final = 30
DAY: Final = 24 * HOUR


class Clicked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was counted of one bundle's answers."""

    answers: int
    clicked: int

    def counted(self) -> Clicks:
        """For the guard."""
        return Clicks(self.answers, self.clicked)


class _Figures(msgspec.Struct, frozen=True):
    """Of a line of ``services.attribution figures --json`` what is needed here."""

    model_version: str
    answers: int
    shown: int
    clicks: int


def clicked_in(path: Path) -> dict[str, Clicked]:
    """What a file has counted, by version. Raises ServingRefused."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Clicked])
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ServingRefused(f"{path}: {error}") from error


def of_two(found: Mapping[str, Clicked], canary: str, served: str) -> Counted:
    """What a file has counted of two bundles; of one that is not in it, nothing."""
    ours, usual = (found.get(version, Clicked(0, 0)).counted() for version in (canary, served))
    return Counted(ours, usual, ours.answers)


def of_attribution(shop_id: str, since: int, now: int, canary: str, served: str) -> Counted:
    """What attribution has counted of two bundles from one moment to another, in whole days.

    Moments are microseconds since 1970; not more than the last :data:`MOST_DAYS` are asked for.
    The guard sees products shown and products clicked, each once in a list, as that is what
    figures have. Raises StepUnfinished where attribution cannot be asked now, ServingRefused where
    it is not set up.
    """
    told = ("services.attribution", "figures", "--json", "--shop", shop_id, "--days")
    days = min(now // DAY - since // DAY + 1, MOST_DAYS)
    ended = run([*told, str(days)], within=WITHIN)
    if ended.status == 2:
        raise ServingRefused(
            f"clicks are not counted: {ended.last_words}; name a file of counts instead"
        )
    if ended.status != 0:
        raise StepUnfinished(f"clicks are not counted: {ended.last_words}")
    lines = _lines(ended)
    ours = [each for each in lines if each.model_version == canary]
    usual = [each for each in lines if each.model_version == served]
    return Counted(_clicks(ours), _clicks(usual), sum(each.answers for each in ours))


def _lines(ended: Ended) -> list[_Figures]:
    try:
        return [msgspec.json.decode(line, type=_Figures) for line in ended.said.splitlines()]
    except msgspec.MsgspecError as error:
        raise ServingRefused(f"attribution's figures cannot be read: {error}") from error


def _clicks(lines: Sequence[_Figures]) -> Clicks:
    return Clicks(sum(each.shown for each in lines), sum(each.clicks for each in lines))
