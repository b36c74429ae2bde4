"""A shop that keeps itself up to date: archive, registry, and the commands of a scheduler."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

from services.recommendations.__main__ import main
from services.recommendations.adapters.registry import Registry
from services.shared.archive_storage import LocalStorage
from tests.archive_parts import archivist, record_at
from tests.bench.loop.taste import Basket
from tests.profile_events import event

DAYS: Final = 14
"""Of a period."""
FROM: Final = datetime(2025, 1, 6, tzinfo=UTC)
SHOP: Final = "demo"
PREPARE: Final = "--holdout-days 4 --validation-days 3"
"""Of four weeks and more; a shop with more days may hold out more of them."""
GATE: Final = "--latency-tolerance 3"
"""What else is at work on this machine must not decide what is promoted."""
AT_ONCE: Final = "--shadow-hours 0 --compared 0 --canary-hours 0 --without-clicks"
"""No server answers here: a trial's steps are taken one after the other, without waiting."""


class Done(NamedTuple):
    """What a round has come to."""

    outcome: str
    says: str
    seconds: float


class Keeping:
    """See the module."""

    def __init__(self, folder: Path, train: str) -> None:
        self.folder = folder
        self.archive = LocalStorage(folder / "archive")
        self._archivist = archivist(self.archive)
        self._train = train
        self._sent = 0
        (folder / "key").write_bytes(base64.b64encode(bytes(range(32))))
        self._registry = Registry(LocalStorage(folder / "registry"), lambda: 0)

    def archive_period(self, number: int, baskets: Iterable[Basket]) -> None:
        """Have the archive take what was bought in a period."""
        records = []
        for basket in baskets:
            at = begin_of(number) + timedelta(days=DAYS * basket.at)
            lines = [{"productId": f"p{product:03}", "quantity": 1} for product in basket.products]
            purchase = {"orderId": f"o{self._sent}", "lines": lines}
            one = event(self._sent, user=f"u{basket.shopper}", at=at, purchase=purchase)
            records.append(record_at(one, self._sent, appended_ms=int(at.timestamp() * 1e3)))
            self._sent += 1
        self._archivist.archive(records)

    def round(self) -> Done:
        """Retrain, and take the steps of the trial; the first bundle is promoted by a person."""
        begun = time.perf_counter()
        place = f"--registry {self.folder}/registry --shop {SHOP}"
        told = f"{place} --archive {self.folder}/archive --master-key-file {self.folder}/key"
        options = [f"--prepare={PREPARE}", f"--train={self._train}", f"--gate={GATE}"]
        status = self._do(["retrain", *told.split(), "--work", f"{self.folder}/work", *options])
        last: dict[str, Any] = json.loads((self.folder / f"work/{SHOP}/last.json").read_bytes())
        if status == 1 or (status == 2 and self._registry.serving(SHOP).served is None):
            raise RuntimeError(f"a round came to nothing: {last['says']}")
        if last["outcome"] == "published":
            self._do(["promote", *place.split(), last["version"]])
        for _ in ("canary", "promote"):
            self._do(["advance", *place.split(), *AT_ONCE.split()])
        return Done(last["outcome"], last["says"], time.perf_counter() - begun)

    def served(self) -> Path:
        """The bundle that is served, fetched."""
        serving = self._registry.serving(SHOP)
        published = serving.of(serving.served or "")
        if published is None:
            raise RuntimeError("nothing is served")
        to = self.folder / published.version
        if not to.exists():
            to.mkdir()
            self._registry.fetch(SHOP, published, to)
        return to

    def _do(self, command: list[str]) -> int:
        """A command's status; what it says is not for this bench's reader."""
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return main(["models", *command])


def begin_of(number: int) -> datetime:
    """When a period begins."""
    return FROM + timedelta(days=DAYS * number)
