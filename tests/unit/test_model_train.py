"""A training: what it holds in memory, tells as it goes, records, and refuses."""

from __future__ import annotations

import dataclasses
import io
import platform
import re
import weakref
from collections.abc import Callable, Iterable
from dataclasses import fields
from functools import partial
from typing import NamedTuple

import msgspec
import numpy as np
import pytest
import scipy
import torch
from rich.console import Console

from model_export.dataset import VALIDATION, Interactions, Prepared, Sharded
from model_export.errors import DataRefused
from model_export.modelling.model import Model
from model_export.progress import Bar
from model_export.training.catalogue import Catalogue
from model_export.training.checkpoint import Checkpoint
from model_export.training.processes import processes
from model_export.training.train import train
from model_export.training.validation import Validation
from services.shared.errors import BadSetting
from services.shared.model_input import VIEW
from tests.export_parts import Silent, trained
from tests.model_parts import QUICK, by_time, leave_one_out, rounds
from tests.waiting import eventually

CODED = msgspec.structs.replace(
    QUICK, dimensions=8, recall=True, codes_above=7, refit=True, epochs=6, patience=2
)
"""All parts of a training."""
BEFORE, AFTER = (0.3, 0.5, 0.4, 0.2), (0.1, 0.2, 0.45, *[0.3] * 5)
"""NDCG of its epochs with vectors, of which the second is the best, and then with codes."""


class Counted(Sharded):
    """A shard for every few users, made anew each time, and how many were alive at once."""

    def __init__(self, data: Prepared, users: int) -> None:
        self._data, self._users = data, users
        self._made: list[list[weakref.ref[np.ndarray]]] = []
        self.most = 0

    def __len__(self) -> int:
        return -(-len(self._data.ids.users) // self._users)

    def shard(self, index: int) -> Interactions:
        rows = self._data.users // self._users == index
        found = Interactions(
            *(getattr(self._data, each.name)[rows] for each in fields(Interactions))
        )
        arrays = [getattr(found, each.name) for each in fields(Interactions)]
        self._made.append([weakref.ref(each) for each in arrays])
        alive = sum(1 for made in self._made if any(each() is not None for each in made))
        self.most = max(self.most, alive)
        return found


class Scripted:
    """Judges as a validation does, and says what it was told to."""

    def __init__(self, shards: Sharded, known: Catalogue) -> None:
        self._validation = Validation(shards, known.index, CODED)
        self._says = iter([*BEFORE, *AFTER])

    def ndcg(self, model: Model) -> float:
        """See :class:`model_export.training.watching.Judge`."""
        assert 0 <= self._validation.ndcg(model) <= 1
        return next(self._says)


class Seen(NamedTuple):
    """A training, and what was seen of it."""

    made: Checkpoint
    shards: Counted
    watched: Silent


@pytest.fixture(scope="module")
def seen() -> Seen:
    """A training in all of its parts; the first ends early."""
    data, watched = by_time(rounds(users=20, days=12)), Silent()
    shards = Counted(data, 2)
    _, made = train(
        data.about,
        shards,
        CODED,
        progress=watched,
        processes=processes("cpu"),
        judge_of=lambda known: Scripted(shards, known),
    )
    return Seen(made, shards, watched)


def test_shards_are_not_held_in_memory(seen: Seen) -> None:
    """Of ten shards there is one at work and, for a moment, the next one; never are more."""
    assert len(seen.shards) == 10
    assert seen.shards.most <= 2


def test_each_part_is_told_from_its_beginning_to_its_end(seen: Seen) -> None:
    """Also what is repeated for fewer epochs: its last step is one step short of the whole."""
    parts = {"training": (4, 6), "as codes": (8, 8), "training again": (2, 2)}
    parts |= {"as codes again": (3, 3)}
    assert list(seen.watched.parts) == list(parts)
    for name, (epochs, until) in parts.items():
        wanted = np.arange(10 * epochs) / (10 * until)
        np.testing.assert_allclose(seen.watched.parts[name], wanted, atol=1e-9, err_msg=name)


def test_both_figures_of_a_model_whose_products_became_codes(seen: Seen) -> None:
    """The best epoch and its figure before, and those of the codes that the model is of."""
    made = seen.made
    assert made.as_codes is not None
    assert (made.epoch, made.validation_ndcg) == (2, 0.5)
    assert (made.as_codes.epoch, made.as_codes.validation_ndcg) == (7, 0.45)
    assert [each.ndcg for each in made.whole_curve] == [*BEFORE, *AFTER]
    assert [each.number for each in made.whole_curve] == list(range(1, 13))
    assert made.architecture.codes == 2


def shown(tell: Callable[[Bar], Iterable[str]]) -> str:
    """What a terminal got of a bar; ten seconds go by at each text that ``tell`` waits for."""
    now, screen = [0.0], io.StringIO()
    console = Console(file=screen, force_terminal=True, width=120, color_system=None)
    with Bar(console=console, clock=lambda: now[0]) as bar:
        for wanted in tell(bar):
            now[0] += 10
            eventually(partial(_is_on, screen, wanted), within=30)
    return screen.getvalue()


def _is_on(screen: io.StringIO, wanted: str) -> bool:
    return wanted in screen.getvalue()


def test_the_time_that_is_left_and_that_a_part_ends_at_its_total() -> None:
    """A part has a bar of its own; one that stops early is complete all the same."""

    def tell(bar: Bar) -> Iterable[str]:
        bar.begin("training")
        for done in (0.0, 0.1, 0.2):
            bar.step(done, 3.0)
            yield ""
        yield "0:01:20"  # 80 % at 1 % a second
        bar.begin("as codes")
        bar.stage("product codes: codebook 1 of 2")
        yield "product codes: codebook 1 of 2"
        for done in (0.0, 0.25, 0.5):
            bar.step(done, 2.0)
            yield ""
        yield "0:00:20"

    text = re.sub(r"\x1b\[[^a-zA-Z]*[a-zA-Z]", "", shown(tell))
    last = re.split(r"[\r\n]+", text.rstrip())[-2:]
    assert last[0].startswith("training")
    assert last[1].startswith("as codes")
    for line in last:
        assert "100 %" in line
        assert "0:00:00" in line


def test_what_computed_is_recorded() -> None:
    """All of what decides the numbers: start vectors are SciPy's, draws NumPy's."""
    told = msgspec.structs.replace(QUICK, dimensions=8, epochs=1)
    assert trained(by_time(rounds(users=20, days=12)), told)[1].versions == {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
    }


def without_purchases(data: Prepared) -> Prepared:
    """The same, with nothing but views in the validation part."""
    views = np.where(data.parts == VALIDATION, VIEW, data.actions).astype(np.int8)
    return dataclasses.replace(data, actions=views)


@pytest.mark.parametrize(
    ("data", "advice"),
    [
        (by_time(rounds(users=20, days=12)), "with more --validation-days"),
        (leave_one_out({"ana": "abcde", "ben": "bcdea"}), "with --split time"),
    ],
    ids=["by time", "leave one out"],
)
def test_a_validation_part_without_purchases(data: Prepared, advice: str) -> None:
    """It is refused: every epoch would score 0, and the first would be kept."""
    told = msgspec.structs.replace(QUICK, dimensions=8)
    with pytest.raises(DataRefused, match="nothing in the validation part is a purchase") as raised:
        trained(without_purchases(data), told)
    assert advice in str(raised.value)


def test_data_without_any_purchase() -> None:
    """More days would not help: the advice is on the input."""
    data = without_purchases(by_time(rounds(users=20, days=12)))
    source = msgspec.structs.replace(data.source, actions={"view": 240, "purchase": 0})
    told = msgspec.structs.replace(QUICK, dimensions=8)
    with pytest.raises(
        DataRefused, match="is the best; where the input has purchases, its event_type"
    ):
        trained(dataclasses.replace(data, source=source), told)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there() -> None:
    """It is said before anything is read, not by torch in the middle."""
    with pytest.raises(
        BadSetting, match=r"--device cuda: there is no GPU here .* say --device cpu"
    ):
        processes("cuda")
