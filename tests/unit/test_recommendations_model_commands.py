"""What operators type to say which model answers."""

from __future__ import annotations

import getpass
import json
import re
import shlex
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.recommendations.adapters.registry import Registry
from services.recommendations.domain.next_step import Terms
from services.recommendations.domain.serving import NOTHING, Guards, Serving
from services.recommendations.model_arguments import REGISTRY, parser
from services.recommendations.model_commands import DO, run_command
from services.recommendations.retraining_arguments import ARCHIVE, MASTER_KEY_FILE
from services.recommendations.settings import PREFIX, Settings
from services.shared.archive_storage import LocalStorage
from services.shared.errors import BadSetting
from services.shared.settings import read_settings
from tests.pages import blocks
from tests.tiny_bundle import make_bundle, seal

ROOT = Path(__file__).parents[2]
VECTORS = {"mug": (1.0, 0.0), "cup": (1.0, 0.25), "lamp": (0.0, 1.0)}
PAGES = (
    "docs/guides/operators.md",
    "docs/guides/data-scientists.md",
    "deploy/helm/attune/README.md",
    "CHANGELOG.md",
)


class Desk:
    """An operator's desk: commands, and what they said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[str] = []
        self.remarked: list[str] = []

    def do(self, line: str) -> int:
        """The status of a command line, for the shop ``demo``."""
        self.said.clear()
        self.remarked.clear()
        environ = {REGISTRY: str(self.folder / "registry")}
        command, *told = shlex.split(line)
        arguments = [command, "--shop", "demo", "--who", "ana", *told]
        if command in ("list", "show"):
            arguments = [command, "--shop", "demo", *told]
        return run_command(arguments, environ, say=self.said.append, remark=self.remarked.append)

    def bundle(self, version: str) -> Path:
        folder = make_bundle(self.folder / version, VECTORS)
        seal(folder, version=version)
        return folder

    @property
    def serving(self) -> Serving:
        return Registry(LocalStorage(self.folder / "registry"), lambda: 0).serving("demo")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """With two published bundles, of which ``a`` is served."""
    desk = Desk(tmp_path)
    for version in ("a", "b"):
        assert desk.do(f"publish {desk.bundle(version)}") == 0
    assert desk.do("promote a") == 0
    return desk


def test_a_bundle_is_proven_before_it_is_named(tmp_path: Path) -> None:
    """One that is damaged gets into the registry under no name, and the sentence says why."""
    desk = Desk(tmp_path)
    folder = desk.bundle("a")
    (folder / "items.npy").write_bytes((folder / "items.npy").read_bytes()[:-1] + b"!")
    assert desk.do(f"publish {folder}") == 2
    assert desk.remarked[0].startswith("BUNDLE_REFUSED: ")
    assert "items.npy has SHA-256" in desk.remarked[0]
    assert desk.serving == NOTHING
    assert not (tmp_path / "registry/demo").exists()


def test_a_shops_first_bundle_is_promoted_without_its_name(tmp_path: Path) -> None:
    """The second then needs one, unless it is the canary."""
    desk = Desk(tmp_path)
    desk.do(f"publish {desk.bundle('a')}")
    assert desk.do("promote") == 0
    assert desk.said == ["demo: promote a", "  served: a"]
    desk.do(f"publish {desk.bundle('b')}")
    assert desk.do("promote") == 2
    assert "name a version" in desk.remarked[0]


def test_the_way_of_a_bundle_in_commands(desk: Desk) -> None:
    """Each says what it did and what is in use then; the history says who and why."""
    assert desk.do("shadow b --sample 0.5") == 0
    assert desk.said == ["demo: shadow b, 0.5", "  served: a", "  shadow: b, 50% of the answers"]
    assert desk.do("canary b --share 0.05") == 0
    assert desk.said[-1] == "  canary: b, 5.00% of the shoppers"
    assert desk.do("promote") == 0
    assert desk.said == ["demo: promote b", "  served: b", "  former: a"]
    assert desk.do("rollback --why 'too few clicks'") == 0
    assert desk.said[0] == "demo: rollback to a"
    assert desk.do("rollback") == 0
    assert desk.said[0] == "demo: nothing to do"
    assert desk.do("show --last 1") == 0
    assert desk.said[:2] == ["served: a", "withdrawn by the last rollback: b"]
    assert desk.said[2].endswith("ana  rollback to a: too few clicks")
    assert len(desk.said) == 3
    assert desk.do("list") == 0
    assert desk.said == ["a  served", "b"]


def test_guards_are_told_with_the_canary(desk: Desk) -> None:
    """What is not told stays as it was; what cannot be is refused."""
    assert desk.do("canary b --share 0.05 --minimum 50 --latency-ratio 3") == 0
    assert desk.do("canary b --share 0.1 --error-share 0.02") == 0
    assert desk.serving.guards == Guards(minimum=50, latency_ratio=3, error_share=0.02)
    assert desk.do("canary b --share 0.1 --minimum 1") == 2
    assert desk.remarked[0].startswith("SERVING_REFUSED: guards: ")
    assert desk.do("canary b --share 0.9") == 2
    assert "at most 0.5" in desk.remarked[0]


def test_a_stop_by_hand(desk: Desk) -> None:
    """It stands in the document whose it was."""
    assert desk.do("canary b --share 0.05") == 0
    assert desk.do("stop canary") == 0
    assert desk.said[-1] == "  canary: b, stopped: stopped by ana"
    assert desk.do("stop shadow") == 0
    assert desk.said[0] == "demo: nothing to do"


@pytest.mark.parametrize(
    ("clicks", "stays"),
    [
        ({"a": [50_000, 2_500], "b": [5_000, 240]}, True),
        ({"a": [50_000, 2_500], "b": [5_000, 90]}, False),
        ({"a": [50_000, 2_500]}, True),
        ({}, True),
    ],
)
def test_clicks_that_were_counted_elsewhere(
    desk: Desk, clicks: dict[str, list[int]], stays: bool
) -> None:
    """A canary that is clicked too seldom is stopped, where its clicks are known at all."""
    assert desk.do("canary b --share 0.05") == 0
    told = {version: {"answers": n, "clicked": k} for version, (n, k) in clicks.items()}
    path = desk.folder / "clicks.json"
    path.write_text(json.dumps(told))
    assert desk.do(f"judge {path}") == 0
    canary = desk.serving.canary
    assert canary is not None
    assert (canary.share > 0) == stays
    assert bool(canary.stopped) != stays
    path.write_text('{"b": {"answers": "many"}}')
    assert desk.do(f"judge {path}") == 2


def test_a_comparison_of_nothing(desk: Desk) -> None:
    """Without a shadow there is none; with one that nobody has asked yet it says so."""
    assert desk.do("show --compare") == 2
    assert "nothing is in the shadow" in desk.remarked[0]
    assert desk.do("shadow b") == 0
    assert desk.do("show --compare") == 0
    assert desk.said[0] == "b in the shadow of a"
    assert desk.said[1].startswith("nothing is compared yet")


def test_what_programs_read(desk: Desk) -> None:
    """The document as it is kept."""
    assert desk.do("show --json") == 0
    assert json.loads(desk.said[0])["served"] == "a"


def test_a_store_that_is_away(tmp_path: Path) -> None:
    """Status 1: to be done again; what nobody can open is refused."""
    (tmp_path / "registry").write_bytes(b"no folder")
    desk = Desk(tmp_path)
    assert desk.do("list") == 1
    assert desk.remarked[0].startswith("STORAGE_UNAVAILABLE: storage at ")
    wrong = ["list", "--shop", "demo", "--registry", "what://x"]
    assert run_command(wrong, {}, say=print, remark=desk.remarked.append) == 2
    assert desk.remarked[-1].startswith("BAD_SETTING: storage at what://x")


@pytest.mark.parametrize("shop", ["../demo", "Demo", ""])
def test_a_shop_is_no_way_out_of_the_registry(
    shop: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever is no shop's id is refused before anything is read."""
    with pytest.raises(SystemExit):
        parser({}).parse_args(["list", "--registry", "x", "--shop", shop])
    assert "is no shop's id" in capsys.readouterr().err


def test_every_command_is_done() -> None:
    """What the command line takes, something does."""
    (commands,) = (each for each in parser({})._actions if each.dest == "command")
    assert isinstance(commands.choices, dict)
    assert set(commands.choices) == set(DO)


def lines(page: str) -> list[str]:
    """The command lines of a page, without the program's name."""
    text = (ROOT / page).read_text()
    found = [line for block in blocks(text) for line in block.replace("\\\n", " ").splitlines()]
    return re.findall(r"services\.recommendations models ([a-z].*)$", "\n".join(found), re.M)


@pytest.mark.parametrize("page", [page for page in PAGES if lines(page)])
def test_every_command_line_of_a_page_is_one(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The real parser takes it."""
    for line in lines(page):
        try:
            parser(dict.fromkeys((REGISTRY, ARCHIVE, MASTER_KEY_FILE), "x")).parse_args(
                shlex.split(line)
            )
        except SystemExit:
            pytest.fail(f"{page}: {line}: {capsys.readouterr().err}")


def test_the_guide_names_every_guard() -> None:
    """With the value that it has at first."""
    text = (ROOT / PAGES[0]).read_text()
    rows = dict(re.findall(r"^\| `--([a-z-]+)` \| ([0-9.]+) \|", text, re.M))
    told = {name.replace("-", "_"): float(value) for name, value in rows.items()}
    usual = Guards()
    assert told == {name: getattr(usual, name) for name in Guards.__struct_fields__}


NEEDED = {"KAFKA_SERVERS": "k:1", "REDIS_URL": "redis://r", "API_KEYS_FILE": "f"}
FROM_REGISTRY = {"REGISTRY": "r", "SHOPS": "demo, other,demo", "MODEL_CACHE": "c"}


def settings(**told: str) -> Settings:
    environ = {PREFIX + name: value for name, value in {**NEEDED, **told}.items()}
    return read_settings(Settings, prefix=PREFIX, environ=environ)


def test_models_come_from_one_place() -> None:
    """A folder, or a registry with shops and a cache."""
    assert settings(BUNDLE="b").served_shops == ()
    assert settings(**FROM_REGISTRY).served_shops == ("demo", "other")


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        ({}, "models come from BUNDLE, a folder, or from REGISTRY; set one of them"),
        ({"BUNDLE": "b", **FROM_REGISTRY}, "set one of them, not both"),
        ({"REGISTRY": "r", "SHOPS": "demo"}, "beside REGISTRY set SHOPS, .* MODEL_CACHE"),
        ({"REGISTRY": "r", "MODEL_CACHE": "c"}, "beside REGISTRY set SHOPS"),
        ({"BUNDLE": "b", "SHOPS": "demo"}, "beside BUNDLE there can be no SHOPS"),
        ({**FROM_REGISTRY, "SHOPS": "demo,../x"}, "among SHOPS '../x' is no shop's id"),
    ],
)
def test_half_a_place_is_refused(told: dict[str, Any], sentence: str) -> None:
    """With a sentence that names what is missing or too much."""
    with pytest.raises(BadSetting, match=sentence):
        settings(**told)


def test_somebody_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's user has none: the history names the number."""

    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 10001")

    monkeypatch.setattr(getpass, "getuser", nobody)
    told = parser({REGISTRY: "x"}).parse_args(["rollback", "--shop", "demo"])
    assert re.fullmatch(r"\d+@.+", told.who)


def test_the_guide_names_every_term_of_a_trial() -> None:
    """With the value that it has at first."""
    text = (ROOT / PAGES[0]).read_text()
    for name, value in msgspec.structs.asdict(Terms()).items():
        assert re.search(rf"`--{name.replace('_', '-')}` \({value:,g}\)", text), name
