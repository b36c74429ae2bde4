"""A round of retraining, with steps that cost nothing: what it does, and what a kill leaves."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from services.recommendations.adapters.child import Ended
from services.recommendations.adapters.registry import Registry
from services.recommendations.adapters.round_folder import Ending, opened
from services.recommendations.domain.next_step import RETRAINING
from services.recommendations.domain.serving import Serving, Shadow
from services.recommendations.domain.transitions import promote, publish, shadow, stop_shadow
from services.recommendations.retraining import Plan, Round
from services.shared.archive_storage import LocalStorage
from services.shared.errors import RoundRefused, StepUnfinished, StorageUnavailable
from tests.tiny_bundle import make_bundle, seal

VECTORS = {"mug": (1.0, 0.0), "cup": (1.0, 0.25), "lamp": (0.0, 1.0)}
HOUR = 3_600_000_000


class Killed(BaseException):
    """What SIGKILL is to the process that gets it."""


class Office:
    """A registry that serves ``a``, an archive of which ``b`` is made, and somebody who kills."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.registry = Registry(Killable(folder / "registry", self.pass_by), lambda: self.now)
        self.now = 1_800_000_000_000_000
        self.left: int | None = None
        """Places to pass by until the kill; None: nobody kills."""
        self.makes = "b"
        self.statuses: dict[str, int] = {}
        self.meanwhile: dict[str, Callable[[], object]] = {}
        """What others do while a step is at work."""
        self.ran: list[str] = []
        self.words: list[Sequence[str]] = []
        bundle = self.registry.upload("demo", self.bundle("a", folder / "a"))
        self.change(partial(publish, bundle=bundle))
        self.change(partial(promote, version="a"))

    def bundle(self, version: str, folder: Path) -> Path:
        seal(make_bundle(folder, VECTORS), version=version)
        return folder

    def change(self, transition: Any, who: str = "ana") -> None:
        self.registry.change("demo", transition, who=who, what="", why="")

    def pass_by(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Killed

    def run(self, words: Sequence[str]) -> Ended:
        """What ``model_export`` would do."""
        name = {"promote": "gate"}.get(words[1], words[1])
        self.ran.append(name)
        self.words.append(words)
        self.pass_by()
        self.meanwhile.pop(name, lambda: None)()
        said = b""
        if name == "export":
            self.bundle(self.makes, Path(words[words.index("--to") + 1]))
        if name == "gate":
            decision = {"candidate": self.makes, "accepted": not self.statuses.get("gate")}
            verdict = {"outcome": "refused", "says": "The candidate is worse."}
            said = json.dumps({**decision, "says": "Refused.", "verdicts": [verdict]}).encode()
        self.pass_by()
        return Ended(self.statuses.get(name, 0), said, f"{name}\nDATA_REFUSED: too few days\n")

    def round(self, **told: Any) -> Ending:
        usual: dict[str, Any] = {"options": {"train": ["--epochs", "2"]}, "sample": 0.1}
        plan = Plan("demo", "archive", "key", **{**usual, "fresh_hours": 48.0, **told})
        with opened(self.folder / "work/demo") as folder:
            made = Round(self.registry, folder, plan, run=self.run, now=lambda: self.now)
            return made.to_its_end()

    @property
    def serving(self) -> Serving:
        return self.registry.serving("demo")

    def said(self) -> list[str]:
        """What retraining has changed, oldest first."""
        history = [*self.registry.history("demo")][::-1]
        return [change.what for change in history if change.who == RETRAINING]

    def last(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "work/demo/last.json").read_bytes())
        return found


class Killable(LocalStorage):
    """A folder whose writers may be killed before and after what they write."""

    def __init__(self, root: Path, pass_by: Callable[[], None]) -> None:
        super().__init__(root)
        self._pass_by = pass_by

    def create(self, path: str, content: bytes) -> bool:
        self._pass_by()
        made = super().create(path, content)
        self._pass_by()
        return made


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


ALL = ["prepare", "train", "export", "gate"]


def test_a_round_ends_in_the_shadow(office: Office) -> None:
    """Step by step; the history says who and why, a file how it ended and what each step took."""
    ending = office.round()
    assert (ending.outcome, ending.says) == ("on trial", "b is in the shadow")
    assert office.ran == ALL
    assert office.serving.served == "a"
    assert office.serving.shadow == Shadow(version="b", sample=0.1)
    assert office.said() == ["publish b", "shadow b, 0.1"]
    newest = next(office.registry.history("demo"))
    assert newest.why == "not worse than a on the held-out days"
    assert office.last()["outcome"] == "on trial"
    assert list(office.last()["seconds"]) == ALL


def test_what_steps_are_told(office: Office) -> None:
    """Where the archive is, and what the operator adds; the served bundle lies there fetched."""
    office.round()
    prepare, train, _, gate = (" ".join(words) for words in office.words)
    assert prepare.startswith("model_export prepare --archive archive --master-key-file key")
    assert train.endswith("/checkpoint --epochs 2")
    assert gate.endswith("--current-is-older --dry-run --json")
    served = office.folder / "work/demo/served/manifest.json"
    assert json.loads(served.read_bytes())["version"] == "a"


def test_killed_anywhere_it_goes_on_to_the_same_end(tmp_path: Path) -> None:
    """Before and after each step and each write: the next one ends it, and does nothing twice."""
    kills = 0
    while True:
        office = Office(tmp_path / str(kills))
        office.left = kills
        try:
            office.round()
        except Killed:
            kills += 1
        else:
            break
        office.left = None
        assert office.round().outcome == "on trial"
        assert office.serving.shadow == Shadow(version="b", sample=0.1)
        assert office.said() == ["publish b", "shadow b, 0.1"]
        assert office.ran == sorted(office.ran, key=ALL.index)
        assert len(office.ran) <= len(ALL) + 1, "what was done is not done again"
    assert kills > 15


def test_a_refusal_by_the_gate_leaves_everything(office: Office) -> None:
    """Its words end the round; the registry is as it was, and the next round is a new one."""
    before = office.serving
    office.statuses["gate"] = 1
    with pytest.raises(RoundRefused, match=r"^Refused\. The candidate is worse\.$"):
        office.round()
    assert office.serving == before
    assert not (office.folder / "registry/demo/bundles/b").exists()
    assert office.last()["outcome"] == "refused"
    office.statuses.clear()
    office.ran.clear()
    assert office.round().outcome == "on trial"
    assert office.ran == ALL


def test_a_step_that_refuses_ends_the_round(office: Office) -> None:
    """With its last words."""
    office.statuses["prepare"] = 2
    with pytest.raises(RoundRefused, match=r"^prepare: DATA_REFUSED: too few days$"):
        office.round()
    assert office.ran == ["prepare"]


@pytest.mark.parametrize("status", [-9, 1])
def test_a_step_that_is_killed_is_done_again(office: Office, status: int) -> None:
    """By the next run, and no other step is."""
    office.statuses["train"] = status
    with pytest.raises(StepUnfinished, match=f"train ended with status {status}"):
        office.round()
    assert office.last()["outcome"] == "unfinished"
    office.statuses.clear()
    office.round()
    assert office.ran == ["prepare", "train", "train", "export", "gate"]


def test_a_round_that_is_told_otherwise_or_old_begins_anew(office: Office) -> None:
    """What was made by other options or of other days is thrown away."""
    office.statuses["train"] = -9
    plain: dict[str, Any] = {"options": {}}
    for told, hours in (({}, 0), (plain, 0), (plain, 49)):
        office.now += hours * HOUR
        with pytest.raises(StepUnfinished):
            office.round(**told)
    assert office.ran == ["prepare", "train"] * 3


def test_two_rounds_of_a_shop_do_not_meet(office: Office) -> None:
    """The second one ends at once; another shop has a folder of its own."""
    with (
        opened(office.folder / "work/demo"),
        pytest.raises(StorageUnavailable, match="another round is at work"),
    ):
        office.round()
    assert office.ran == []


def test_nothing_is_begun_while_something_is_on_trial(office: Office) -> None:
    """A person's trial or retraining's own: it goes first, and costs no training."""
    office.round()
    office.makes = "c"
    assert office.round().outcome == "waiting"
    assert office.ran == ALL
    office.change(stop_shadow)
    assert office.round().outcome == "on trial"
    assert office.serving.shadow == Shadow(version="c", sample=0.1)


def test_a_trial_that_began_meanwhile_goes_first(office: Office) -> None:
    """What was made waits for its end, published, and is not made again."""
    bundle = office.registry.upload("demo", office.bundle("z", office.folder / "z"))

    def try_z() -> None:
        office.change(partial(publish, bundle=bundle), "ben")
        office.change(partial(shadow, version="z", sample=0.5), "ben")

    office.meanwhile["gate"] = try_z
    ending = office.round()
    assert (ending.outcome, ending.says) == ("waiting", "the trial of z, led by ben, goes first")
    assert office.serving.shadow == Shadow(version="z", sample=0.5)
    office.change(stop_shadow, "ben")
    assert office.round().outcome == "on trial"
    assert office.ran == ALL


def test_what_is_served_meanwhile_is_held_against_it(office: Office) -> None:
    """The gate is asked again, for the bundle that a person has promoted; its word counts."""
    bundle = office.registry.upload("demo", office.bundle("z", office.folder / "z"))

    def serve_z() -> None:
        office.change(partial(publish, bundle=bundle), "ben")
        office.change(partial(promote, version="z"), "ben")

    office.meanwhile["gate"] = serve_z
    assert office.round().outcome == "on trial"
    assert office.ran == [*ALL, "gate"]
    assert next(office.registry.history("demo")).why.startswith("not worse than z")


def test_the_same_model_again_is_nothing_new(office: Office) -> None:
    """Of the same events comes the same bundle: served, or tried before."""
    office.makes = "a"
    assert office.round().outcome == "nothing new"
    office.makes = "b"
    office.round()
    office.change(stop_shadow, "ben")
    assert office.round().says == "b was tried before; a person may try it again"
    assert office.serving.shadow is None


def test_of_a_shop_that_serves_nothing_the_first_bundle_is_a_person_s(tmp_path: Path) -> None:
    """It is published; nothing could tell what it is worth."""
    office = Office(tmp_path)
    office.registry = Registry(LocalStorage(tmp_path / "empty"), lambda: office.now)
    ending = office.round()
    assert (ending.outcome, office.serving.served) == ("published", None)
    assert ending.says == "nothing is served yet; 'models promote b' changes that"
