"""A worker that counts trends whatever is counted already."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from services.profiles.__main__ import main
from services.profiles.adapters import trends

COMPARED = "if counted ~= ARGV[2] then return 0 end"


def count_regardless() -> None:
    """Have this process look at no fence, neither before it counts nor while it does."""
    script = trends.COUNT.replace(COMPARED, "")
    trends.COUNT = script  # type: ignore[misc]  # that is the mistake
    digest = hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
    trends._SHA = digest  # type: ignore[misc]  # as above

    async def none(_: trends.RedisTrends, places: Sequence[trends.Place]) -> list[int]:
        return [0 for _ in places]

    trends.RedisTrends.fences = none  # type: ignore[assignment]  # as above


if __name__ == "__main__":
    count_regardless()
    raise SystemExit(main())
