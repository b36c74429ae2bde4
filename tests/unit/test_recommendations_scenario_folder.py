"""Documents in a folder count at start and whenever they change, and only whole and right ones."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from services.recommendations.adapters.scenario_folder import ScenarioFolder
from services.recommendations.domain import kept_masks
from services.recommendations.domain.catalog import Listing
from services.recommendations.domain.catalogs import Catalogs
from services.recommendations.domain.filters.expression import Expressions
from services.recommendations.domain.policies import Policies
from services.shared.errors import BadSetting
from services.shared.model_input import Vocabulary
from tests.waiting import turns_during

HOME = "version: 1\nscenarios:\n  home:\n    sources: [{source}]\n    filter: {condition}\n"


class Watched:
    """A folder that is watched for two shops."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.policies, self.catalogs = Policies(), Catalogs(Vocabulary(["a", "b"]))
        for shop in ("demo", "other"):
            self.catalogs.for_feeding(shop).put_product("a", Listing("A", ("x",), "acme", "Acme"))
        self.watching = ScenarioFolder(
            folder,
            policies=self.policies,
            catalogs=self.catalogs,
            expressions=Expressions(),
            now_micros=lambda: 0,
        )

    def write(self, name: str, source: str = "popular", condition: str = "true") -> None:
        text = HOME.format(source=source, condition=condition)
        (self.folder / name).write_text(text)

    def sources(self, shop: str) -> tuple[str, ...]:
        return self.policies.of(shop, "home", f"{shop}/u:1").scenario.sources

    def kept(self, shop: str) -> int:
        """How many conditions the shop's catalogue knows the answer to."""
        return len(self.catalogs.of(shop).kept)


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    folder = tmp_path / "scenarios"
    folder.mkdir()
    return Watched(folder)


def refused() -> float:
    return REGISTRY.get_sample_value("scenarios_refused_total") or 0.0


def test_documents_are_read_at_start(watched: Watched) -> None:
    """Each shop's by its name, the default one for those without; other files say nothing."""
    watched.write("demo.yaml", "trending")
    watched.write("default.yaml", "popular")
    (watched.folder / "README.md").write_text("not a document")
    (watched.folder / ".demo.yaml.swp").write_text("an editor's")
    watched.watching.start()
    assert watched.sources("demo") == ("trending",)
    assert watched.sources("other") == ("popular",)


def test_a_mistake_stops_the_start_with_all_that_is_wrong(watched: Watched) -> None:
    """In every document, with file, line and column."""
    watched.write("demo.yaml", "trendy")
    watched.write("other.yaml", condition="product.pirce < 1.0")
    with pytest.raises(BadSetting) as caught:
        watched.watching.start()
    told = str(caught.value)
    assert f"{watched.folder / 'demo.yaml'}: line 4, column 15: trendy is not known here" in told
    assert f"{watched.folder / 'other.yaml'}: line 5, column 20: there is no" in told


def test_without_its_folder_the_server_does_not_start(tmp_path: Path) -> None:
    """A misspelt path is not taken for a folder without documents."""
    with pytest.raises(BadSetting, match=r"cannot be read: .*nowhere"):
        Watched(tmp_path / "nowhere").watching.start()


@pytest.mark.parametrize("name", ["demo.yml", "Demo.yaml", "my shop.yaml", "a_b.yaml"])
def test_a_file_that_no_shop_is_named_by_is_a_mistake(watched: Watched, name: str) -> None:
    """It would never count, and nobody would notice."""
    watched.write(name)
    with pytest.raises(BadSetting, match=r"it must be the shop's id, or default, and \.yaml"):
        watched.watching.start()


async def test_what_is_changed_counts_at_the_next_look(watched: Watched) -> None:
    """New, changed and removed documents, one shop's without the others'."""
    watched.write("default.yaml", "popular")
    watched.watching.start()
    watched.write("demo.yaml", "trending")
    await watched.watching.look()
    assert (watched.sources("demo"), watched.sources("other")) == (("trending",), ("popular",))
    watched.write("demo.yaml", "similar")
    watched.write("default.yaml", "personal")
    await watched.watching.look()
    assert (watched.sources("demo"), watched.sources("other")) == (("similar",), ("personal",))
    (watched.folder / "demo.yaml").unlink()
    await watched.watching.look()
    assert watched.sources("demo") == ("personal",)


async def test_a_change_is_seen_by_its_content(watched: Watched) -> None:
    """Also where size and times are those of before."""
    path = watched.folder / "demo.yaml"
    watched.write("demo.yaml", "popular")
    watched.watching.start()
    before = path.stat()
    watched.write("demo.yaml", "similar")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    await watched.watching.look()
    assert watched.sources("demo") == ("similar",)


async def test_a_folder_is_swapped_behind_a_link_as_kubernetes_does(tmp_path: Path) -> None:
    """Documents are links to links; all change at once, and none keeps the former."""
    for revision, source in (("..one", "popular"), ("..two", "trending")):
        (tmp_path / revision).mkdir()
        text = HOME.format(source=source, condition="true")
        (tmp_path / revision / "demo.yaml").write_text(text)
    (tmp_path / "..data").symlink_to("..one")
    (tmp_path / "demo.yaml").symlink_to("..data/demo.yaml")
    watched = Watched(tmp_path)
    watched.watching.start()
    assert watched.sources("demo") == ("popular",)
    (tmp_path / "..new").symlink_to("..two")
    (tmp_path / "..new").rename(tmp_path / "..data")
    await watched.watching.look()
    assert watched.sources("demo") == ("trending",)


async def test_a_document_with_mistakes_is_refused_and_the_former_goes_on(
    watched: Watched, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is counted once, others of the same look are taken, and a repair counts."""
    watched.write("demo.yaml", "trending")
    watched.watching.start()
    before = refused()
    watched.write("demo.yaml", "popular", condition="product.pirce < 1.0")
    watched.write("other.yaml", "similar")
    for _ in range(3):
        await watched.watching.look()
    assert refused() == before + 1
    assert "line 5, column 20: there is no 'product.pirce' here" in capsys.readouterr().out
    assert watched.sources("demo") == ("trending",)
    assert watched.sources("other") == ("similar",)
    watched.write("demo.yaml", "popular")
    await watched.watching.look()
    assert watched.sources("demo") == ("popular",)
    (watched.folder / "demo.yaml").write_bytes(b"\xff")
    await watched.watching.look()
    assert watched.sources("demo") == ("popular",)


async def test_a_file_that_is_being_written_is_not_read(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a document is no mistake; it counts once it stays as it is."""
    watched.write("demo.yaml", "trending")
    watched.watching.start()
    before = refused()
    path = watched.folder / "demo.yaml"
    path.write_text("version: 1\nscenarios:\n  home:\n    sources: [pop")

    async def pause(_: float) -> None:
        watched.write("demo.yaml", "popular")

    monkeypatch.setattr(asyncio, "sleep", pause)
    await watched.watching.look()
    assert (watched.sources("demo"), refused()) == (("trending",), before)
    await watched.watching.look()
    assert (watched.sources("demo"), refused()) == (("popular",), before)


async def test_a_folder_that_is_away_changes_nothing(watched: Watched) -> None:
    """What is known goes on until it is back."""
    watched.write("demo.yaml", "trending")
    watched.watching.start()
    (watched.folder / "demo.yaml").unlink()
    watched.folder.rmdir()
    await watched.watching.look()
    assert watched.sources("demo") == ("trending",)
    watched.folder.mkdir()
    watched.write("demo.yaml", "popular")
    await watched.watching.look()
    assert watched.sources("demo") == ("popular",)


async def test_conditions_are_computed_before_they_count(watched: Watched) -> None:
    """Of each shop whose document it is, also where the shopper alone could decide."""
    condition = "'shopper.signed_in && (product.brand == \"Acme\" || product.price < 1.0)'"
    watched.write("demo.yaml", condition=condition)
    watched.watching.start()
    assert watched.kept("demo") == 0, "there is no catalogue to compute them of yet"
    await watched.watching.warm()
    assert (watched.kept("demo"), watched.kept("other")) == (1, 0)
    watched.write("default.yaml", condition="product.price < 2.0")
    await watched.watching.look()
    assert (watched.kept("demo"), watched.kept("other")) == (1, 1)


async def test_a_warm_up_lets_calls_have_their_turn(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A condition that takes long is computed in slices, also when a document changes."""
    monkeypatch.setattr(kept_masks, "SLICE_ROWS", 2)
    for number in range(100):
        listing = Listing(f"Mug {number}", ("x",), "acme", "Acme")
        watched.catalogs.for_feeding("demo").put_product(f"p{number}", listing)
    watched.write("demo.yaml", condition="product.title.matches('9$')")
    watched.watching.start()
    assert await turns_during(watched.watching.warm()) >= 50
    assert watched.kept("demo") == 1
