"""A worker that reads nothing again when Redis has lost what it was given."""

from __future__ import annotations

from collections.abc import Mapping

from faust.types import TP

from services.profiles.__main__ import main
from services.profiles.worker import Worker


def never_rewind() -> None:
    """Have all workers of this process go on where they are."""

    async def on(_: Worker, __: Mapping[TP, int]) -> None:
        return

    Worker.rewind = on  # type: ignore[assignment]  # that is the mistake


if __name__ == "__main__":
    never_rewind()
    raise SystemExit(main())
