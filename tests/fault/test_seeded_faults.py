"""Stories of faults that a seed makes: in the end all is as the oracle says.

Many more, and these alone: ``make fault``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.fault.chaos.faults import WAYS
from tests.fault.chaos.finding import found_out
from tests.fault.chaos.playing import play
from tests.fault.chaos.stage import Servers, servers
from tests.fault.chaos.story import story

SEEDS = (130, 156, 274)
AT_LEAST = 20
QUICK = ("never_rewinds",)


@pytest.fixture(scope="module")
def on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Servers that the stories share."""
    with servers(tmp_path_factory.mktemp("stories")) as made:
        yield made


@pytest.mark.parametrize("mutant", QUICK)
async def test_a_wrong_worker_is_found_out(mutant: str, on: Servers, tmp_path: Path) -> None:
    """The others are tried by ``make fault``."""
    assert (await found_out(mutant, on, tmp_path)).by


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_story_ends_as_the_oracle_says(seed: int, on: Servers, tmp_path: Path) -> None:
    """Whatever was killed, stood still, came twice or was lost meanwhile."""
    outcome = await play(seed, on, tmp_path)
    assert outcome.is_right, outcome.told()
    assert outcome.faults == story(seed, name="shop", now=datetime.now(UTC)).faults


def test_the_stories_have_every_fault() -> None:
    """At least twenty, and none that only the long run knows."""
    faults: Counter[str] = Counter()
    for seed in SEEDS:
        faults += story(seed, name="shop", now=datetime.now(UTC)).faults
    assert faults.keys() == WAYS.keys()
    assert faults.total() >= AT_LEAST
