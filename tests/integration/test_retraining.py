"""Rounds of retraining on a real archive, by real steps of ``model_export``, killed and gone on."""

from __future__ import annotations

import base64
import json
import os
import random
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.recommendations.__main__ import main
from services.recommendations.adapters.registry import Registry
from services.recommendations.domain.serving import Serving
from services.shared.archive_storage import LocalStorage
from tests.archive_parts import Archivist, archivist, record_at
from tests.profile_events import event
from tests.waiting import eventually

FROM = datetime(2026, 1, 5, tzinfo=UTC)
SHELVES = [[f"{name}-{n}" for n in range(1, 7)] for name in ("coffee", "tea", "cat", "dog")]
PREPARE = "--holdout-days 7 --validation-days 7"
TRAIN = "--dimensions 16 --layers 1 --heads 2 --negatives 64 --epochs 2 --id-dropout 0.1"
LENIENT = "--latency-tolerance 100 --latency-rounds 3 --draws 200 --margin 0.9 --segment-margin 0.9"
STRICT = LENIENT.replace("--margin 0.9", "--margin 0")


class Loop:
    """An archive of forty shoppers, a registry, and the commands that a scheduler calls."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.archivist: Archivist = archivist(LocalStorage(folder / "archive"))
        (folder / "key").write_bytes(base64.b64encode(bytes(range(32))))
        self.sent = 0

    def buy(self, weeks: range) -> None:
        """Each shopper buys from one shelf once a week; the archive has it."""
        records = []
        for week in weeks:
            for user in range(40):
                chance = random.Random(f"{week}/{user}")
                at = FROM + timedelta(weeks=week, minutes=chance.randrange(7_000))
                lines = [
                    {"productId": p, "quantity": 1} for p in chance.sample(SHELVES[user % 4], 2)
                ]
                one = event(
                    self.sent, user=f"u{user}", at=at, purchase={"orderId": "o", "lines": lines}
                )
                records.append(record_at(one, self.sent, appended_ms=int(at.timestamp() * 1e3)))
                self.sent += 1
        self.archivist.archive(records)

    def retrain_words(self, gate: str = LENIENT) -> list[str]:
        told = f"models retrain --shop demo --registry {self.folder}/registry"
        told += f" --archive {self.folder}/archive --master-key-file {self.folder}/key"
        options = [f"--prepare={PREPARE}", f"--train={TRAIN}", f"--gate={gate}"]
        return [*told.split(), "--work", f"{self.folder}/work", *options]

    def retrain(self, gate: str = LENIENT) -> int:
        return main(self.retrain_words(gate))

    def begin(self) -> subprocess.Popen[bytes]:
        """A round as a process of its own, at the head of a group with its steps."""
        return subprocess.Popen(
            [sys.executable, "-m", "services.recommendations", *self.retrain_words()],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def models(self, told: str) -> int:
        command, *rest = told.split()
        place = ["--shop", "demo", "--registry", f"{self.folder}/registry"]
        return main(["models", command, *place, *rest])

    @property
    def serving(self) -> Serving:
        return Registry(LocalStorage(self.folder / "registry"), lambda: 0).serving("demo")

    def of_round(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "work/demo" / name).read_bytes())
        return found

    def files(self) -> dict[str, bytes]:
        """Of the registry, all."""
        root = self.folder / "registry"
        return {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Loop:
    """With a first bundle served, whose round was killed while it trained."""
    loop = Loop(tmp_path_factory.mktemp("loop"))
    loop.buy(range(14))
    process = loop.begin()
    try:
        checkpoint = loop.folder / "work/demo/checkpoint"
        eventually(lambda: any(checkpoint.glob("*.state.npz")), within=120)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    return loop


def test_a_first_round_that_was_killed_in_training_ends(
    loop: Loop, capsys: pytest.CaptureFixture[str]
) -> None:
    """It goes on with the training, publishes, and leaves the first promotion to a person."""
    begun = loop.of_round("round.json")
    assert list(begun["seconds"]) == ["prepare"]
    assert loop.retrain() == 0
    said = capsys.readouterr()
    assert "demo: published\n  nothing is served yet" in said.out
    steps = [json.loads(line) for line in said.err.splitlines() if '"round_step_done"' in line]
    assert [each["step"] for each in steps] == ["train", "export", "gate"]
    assert loop.of_round("last.json")["began_at"] == begun["began_at"]
    [published] = loop.serving.published
    assert loop.models(f"promote {published.version}") == 0


def test_a_later_round_is_refused_or_tried(loop: Loop, capsys: pytest.CaptureFixture[str]) -> None:
    """The gate's refusal leaves everything; a lenient gate lets the bundle of more days on trial."""
    loop.buy(range(14, 16))
    before, served = loop.files(), loop.serving.served
    assert loop.retrain(STRICT) in (0, 2)
    capsys.readouterr()
    assert before == loop.files()
    assert served
