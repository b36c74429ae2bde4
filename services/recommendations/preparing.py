"""Computes what filters ask of a whole catalogue: beside the calls, and once for all who wait.

A pattern that meets a million titles for the first time takes more than a second. It is computed in
slices of milliseconds, between which other calls have their turn, one expression after the other. A
call whose time ends before goes without an answer, but what it asked for goes on: who asks again
finds it there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from services.recommendations.domain.catalog import Catalog
from services.recommendations.domain.filters.expression import Expression
from services.shared.errors import TooManyCalls

MOST: Final = 16
"""Where so many are under way, whoever brings another has to come back."""


class Preparing:
    """See the module; lives as long as the server."""

    def __init__(self) -> None:
        self._under_way: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._turn = asyncio.Lock()

    async def prepare(
        self, shop_id: str, catalog: Catalog, expressions: Sequence[Expression], *, within: float
    ) -> None:
        """Return once a shop's catalogue has these ready.

        Raises TimeoutError after ``within`` seconds, and TooManyCalls at once.
        """
        is_new = any((shop_id, each.text) not in self._under_way for each in expressions)
        if is_new and len(self._under_way) >= MOST:
            raise TooManyCalls("too many new filters are being computed; try again")
        tasks = {self._task(shop_id, catalog, each) for each in expressions}
        done, late = await asyncio.wait(tasks, timeout=max(within, 0.0))
        if late:
            raise TimeoutError("the filter is still being computed for the catalogue")
        for task in done:
            task.result()

    def _task(self, shop_id: str, catalog: Catalog, expression: Expression) -> asyncio.Task[None]:
        """The one that computes it, begun if need be."""
        key = shop_id, expression.text
        task = self._under_way.get(key)
        if task is None:
            task = self._under_way[key] = asyncio.create_task(self._work(catalog, expression))
            task.add_done_callback(lambda _: self._under_way.pop(key))
        return task

    async def _work(self, catalog: Catalog, expression: Expression) -> None:
        async with self._turn:
            for _ in expression.prepare(catalog):
                await asyncio.sleep(0)
