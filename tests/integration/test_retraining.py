"""Rounds of retraining on a real archive, by real steps of ``model_export``, killed and gone on."""

from __future__ import annotations

import base64
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.recommendations.__main__ import main
from services.recommendations.adapters.registry import Registry
from services.recommendations.domain.serving import Serving
from services.shared.archive_storage import LocalStorage
from tests.archive_parts import archivist, record_at
from tests.profile_events import event
from tests.tiny_bundle import make_bundle, seal
from tests.waiting import eventually

FROM = datetime(2026, 1, 5, tzinfo=UTC)
SHELVES = [[f"{name}-{n}" for n in range(1, 7)] for name in ("coffee", "tea", "cat", "dog")]
PREPARE = "--holdout-days 7 --validation-days 7"
TRAIN = "--dimensions 16 --negatives 64 --epochs 6 --max-length 10 --threads 1"
GATE = "--latency-tolerance 100 --latency-rounds 3 --draws 200 --margin 0.5"
AT_ONCE = "--shadow-hours 0 --compared 0 --canary-hours 0 --without-clicks"
WITHIN = 120.0


class Loop:
    """An archive of forty shoppers, a registry, and the commands that a scheduler calls."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._archivist = archivist(LocalStorage(folder / "archive"))
        (folder / "key").write_bytes(base64.b64encode(bytes(range(32))))
        self._sent = 0

    def buy(self, weeks: range) -> None:
        """Each shopper buys from one shelf once a week; the archive has it."""
        records = []
        for week in weeks:
            for user in range(40):
                chance = random.Random(f"{week}/{user}")
                at = FROM + timedelta(weeks=week, minutes=chance.randrange(7_000))
                chosen = chance.sample(SHELVES[user % 4], 2)
                lines = [{"productId": product, "quantity": 1} for product in chosen]
                order = {"orderId": f"o{self._sent}", "lines": lines}
                one = event(self._sent, user=f"u{user}", at=at, purchase=order)
                appended = int(at.timestamp() * 1e3)
                records.append(record_at(one, self._sent, appended_ms=appended))
                self._sent += 1
        self._archivist.archive(records)

    def words(self, work: str = "work", gate: str = "") -> list[str]:
        """The command line of a round."""
        told = f"models retrain --shop demo --registry {self.folder}/registry"
        told += f" --archive {self.folder}/archive --master-key-file {self.folder}/key"
        options = [f"--prepare={PREPARE}", f"--train={TRAIN}", f"--gate={GATE} {gate}"]
        return [*told.split(), "--work", f"{self.folder}/{work}", *options]

    def killed(self, when: Callable[[], bool]) -> None:
        """A round as a process of its own, which SIGKILL ends with the step that it is at."""
        process = subprocess.Popen(
            [sys.executable, "-m", "services.recommendations", *self.words()],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            eventually(lambda: when() or process.poll() is not None, within=WITHIN)
            assert process.poll() is None, "it ended by itself"
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def models(self, told: str) -> int:
        command, *rest = told.split()
        place = ["--shop", "demo", "--registry", f"{self.folder}/registry"]
        return main(["models", command, *place, *rest])

    @property
    def serving(self) -> Serving:
        return Registry(LocalStorage(self.folder / "registry"), lambda: 0).serving("demo")

    def done(self) -> list[str]:
        """The steps that the round has done so far."""
        try:
            found = json.loads((self.folder / "work/demo/round.json").read_bytes())
        except FileNotFoundError:
            return []
        return list(found["seconds"])

    def last(self, work: str = "work") -> dict[str, Any]:
        """How the last round has ended."""
        place = self.folder / work / "demo/last.json"
        found: dict[str, Any] = json.loads(place.read_bytes())
        return found

    def files(self) -> dict[str, bytes]:
        """Of the registry, all."""
        root = self.folder / "registry"
        return {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def loop(tmp_path: Path) -> Loop:
    """With a bundle served that was made by hand, of days before all that is held out."""
    loop = Loop(tmp_path)
    vectors = {product: (1.0, float(n)) for n, shelf in enumerate(SHELVES) for product in shelf}
    of_before = {"split": "by time", "held_out_from": "2026-01-01T00:00:00+00:00"}
    seal(make_bundle(loop.folder / "hand", vectors), version="hand-1", created_from=of_before)
    assert loop.models(f"publish {loop.folder}/hand") == 0
    assert loop.models("promote hand-1") == 0
    loop.buy(range(14))
    return loop


def test_a_round_that_is_killed_twice(loop: Loop, capsys: pytest.CaptureFixture[str]) -> None:
    """In training and behind it: each goes on, what the gate refuses leaves all, the rest serves.

    One test, as a training is dear: what was made is held to two gates.
    """
    checkpoint = loop.folder / "work/demo/checkpoint"
    loop.killed(lambda: any(checkpoint.glob("*.state.npz")))
    assert loop.done() == ["prepare"]
    loop.killed(lambda: loop.done() == ["prepare", "train", "export"])
    shutil.copytree(loop.folder / "work", loop.folder / "other")
    before = loop.files()
    assert main(loop.words("other", "--check tests.refusing_check:Never")) == 2
    said = capsys.readouterr().err
    assert "ROUND_REFUSED: Refused by never: hand-1 stays" in said
    assert said.splitlines()[-1].endswith("Nothing is better than hand-1.")
    assert loop.files() == before
    assert loop.last("other")["outcome"] == "refused"
    bundle = loop.folder / "work/demo/bundle/manifest.json"
    made = bundle.stat().st_mtime_ns
    assert main(loop.words()) == 0
    steps = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [each["step"] for each in steps if "step" in each] == ["gate"]
    assert (bundle.stat().st_mtime_ns, loop.done()) == (made, [])
    assert loop.last()["outcome"] == "on trial"
    version = json.loads(bundle.read_bytes())["version"]
    assert loop.serving.shadow is not None
    assert (loop.serving.shadow.version, loop.serving.served) == (version, "hand-1")
    for _ in ("canary", "promote", "nothing to do"):
        assert loop.models(f"advance {AT_ONCE}") == 0
    assert (loop.serving.served, loop.serving.former) == (version, "hand-1")
    assert loop.serving.number == 6
