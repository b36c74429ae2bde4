"""The documents of scenarios in a folder: ``<shop>.yaml`` of each shop, ``default.yaml`` of others.

They are read at start, and looked at every second. A document that has changed is checked as a
whole before it counts, and what its conditions say of the shops' catalogues is computed, so that no
call pays for a new document. One with mistakes is refused, and the former goes on.

Contents are compared, not times: Kubernetes swaps the folder behind a symbolic link, and an editor
may save twice within one tick of the file system's clock.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import structlog
from prometheus_client import Counter

from services.recommendations.domain.catalogs import Catalogs
from services.recommendations.domain.filters.expression import Expressions
from services.recommendations.domain.policies import Policies
from services.recommendations.domain.rules import warmed
from services.recommendations.domain.scenario import Scenarios
from services.recommendations.domain.scenario_document import read_scenarios
from services.shared.errors import BadSetting
from services.shared.yaml_document import DOCUMENT_LIMIT, BadDocument, Mistake, decoded

EVERY_SECONDS: Final = 1.0
"""Between two looks."""
SETTLED_SECONDS: Final = 0.05
"""What has changed must stay as it is for so long: a file that is being written is not read."""

SUFFIX: Final = ".yaml"
BYTES: Final = 4 * DOCUMENT_LIMIT
"""Of a document, at most."""

REFUSED: Final = Counter("scenarios_refused_total", "Documents of scenarios with mistakes.")

_SHOP: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")

_log = structlog.get_logger()


class ScenarioFolder:
    """Keeps ``policies`` equal to a folder's documents; lives as long as the server."""

    def __init__(
        self,
        folder: Path,
        *,
        policies: Policies,
        catalogs: Catalogs,
        expressions: Expressions,
        now_micros: Callable[[], int],
    ) -> None:
        """``expressions`` are those that calls use, ``now_micros`` tells the time since 1970."""
        self._folder = folder
        self._policies, self._catalogs, self._expressions = policies, catalogs, expressions
        self._now = now_micros
        self._contents: Mapping[str, bytes] = {}
        self._documents: Mapping[str, Scenarios] = {}

    def start(self) -> None:
        """Read all documents. Raises BadSetting, with every mistake of each."""
        try:
            self._contents = _contents(self._folder)
        except OSError as error:
            raise BadSetting(f"the folder of scenarios cannot be read: {error}") from error
        documents, wrong = {}, []
        for name, data in self._contents.items():
            try:
                documents[_shop(name)] = document_of(name, data)
            except BadDocument as error:
                wrong.append(f"{self._folder / name}: {error}")
        if wrong:
            raise BadSetting("; ".join(wrong))
        self._documents = documents
        self._policies.put(documents)

    async def run(self) -> None:
        """Look at the folder every second until cancelled."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Take what has changed; calls go on meanwhile."""
        contents = await self._settled()
        changed = [name for name in contents if contents[name] != self._contents.get(name)]
        if not changed and contents.keys() == self._contents.keys():
            return
        shops = {_shop(name) for name in contents}
        documents = {shop: each for shop, each in self._documents.items() if shop in shops}
        for name in changed:
            try:
                documents[_shop(name)] = await asyncio.to_thread(document_of, name, contents[name])
            except BadDocument as error:
                REFUSED.inc()
                _log.warning("scenarios_refused", document=name, mistakes=_lines(error))
        self._contents = contents
        if documents != self._documents:
            await self._take(documents)

    async def _settled(self) -> Mapping[str, bytes]:
        """What the documents hold; what is known of before where they change just now."""
        try:
            contents = await asyncio.to_thread(_contents, self._folder)
            if contents == self._contents:
                return contents
            await asyncio.sleep(SETTLED_SECONDS)
            again = await asyncio.to_thread(_contents, self._folder)
        except OSError as error:  # in the middle of a change, or for good: what is known goes on
            _log.warning("scenarios_not_read", message=str(error))
            return self._contents
        return contents if again == contents else self._contents

    async def warm(self, policies: Policies | None = None) -> None:
        """Compute what the conditions of all shops say of their catalogues."""
        policies = policies or self._policies
        for shop_id in self._catalogs.shops:
            scenarios, catalog = policies.scenarios(shop_id), self._catalogs.of(shop_id)
            for _ in warmed(scenarios, self._expressions, catalog, self._now()):
                await asyncio.sleep(0)

    async def _take(self, documents: Mapping[str, Scenarios]) -> None:
        new = Policies()
        new.put(documents)
        await self.warm(new)
        self._documents = documents
        self._policies.put(documents)
        _log.info("scenarios_taken", documents=sorted(documents))


def document_of(name: str, data: bytes) -> Scenarios:
    """What the file of that name says. Raises BadDocument, also for a name that no shop has."""
    if not name.endswith(SUFFIX) or not _SHOP.fullmatch(_shop(name)):
        told = f"the file is named {name}; it must be the shop's id, or default, and {SUFFIX}"
        raise BadDocument([Mistake(1, 1, told)])
    return read_scenarios(decoded(data))


def _contents(folder: Path) -> dict[str, bytes]:
    """What the documents hold, by their names. Raises OSError."""
    found = {}
    for path in sorted(folder.iterdir()):
        if path.suffix in (SUFFIX, ".yml") and not path.name.startswith("."):
            with path.open("rb") as file:
                found[path.name] = file.read(BYTES + 1)
    return found


def _shop(name: str) -> str:
    return name.rpartition(".")[0]


def _lines(error: BadDocument) -> list[str]:
    return [str(mistake) for mistake in error.mistakes]
