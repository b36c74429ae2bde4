"""The race of trainers measures alike what each contender does, and says so when one fails."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from model_export.evaluation.metrics import best, hit_rate, ndcg
from tests.accuracy_parts import run, small_file, task
from tests.bench.accuracy.beside_library import first_users
from tests.bench.accuracy.contract import Epoch, task_of
from tests.bench.accuracy.held_out import read
from tests.bench.accuracy.racing import Contender, ContenderFailed, Run, race
from tests.bench.accuracy.ruler import figures, mask, ranks
from tests.bench.accuracy.tables import milestones, rows_against, rows_of

EPOCH = '{"type":"epoch","seconds":2,"processor_seconds":3,"validating_seconds":1,"validation":'
FAKE = f"""
import sys
held = bytearray(200_000_000)
for ndcg in (0.1, 0.3, 0.2):
    print('{EPOCH}{{"recall":0.5,"ndcg":%s}}}}' % ndcg, flush=True)
sum(range(3_000_000))
print('{{"type":"outcome","epoch":2,"masked":{{"recall":0.4,"ndcg":0.2}},'
      '"unmasked":{{"recall":0.3,"ndcg":0.1}}}}')
sys.stderr.write(sys.argv[1])
"""


def raced(code: str, folder: Path, seen: list[Epoch]) -> Run:
    fake = Contender("fake", (sys.executable, "-c", code), {"width": 8, "rate": 0.1})
    return race(fake, task(folder / "none", rate=0.2), folder / "log", seen.append)


def test_the_ruler_is_that_of_the_project() -> None:
    """Recall and NDCG are those of the project's metrics, ties and unknown items included."""
    random = np.random.default_rng(1)
    scores = random.integers(0, 60, (300, 41)).astype(np.float32)
    scores[random.random(scores.shape) < 0.2] = -np.inf
    scores[:, 0] = -np.inf
    targets = random.integers(1, 41, 300)
    lists = [best(row) for row in scores]
    pairs = list(zip(lists, targets[:, None], strict=True))
    measured = figures([ranks(scores[:100], targets[:100]), ranks(scores[100:], targets[100:])])
    assert measured.recall == pytest.approx(np.mean([hit_rate(*pair) for pair in pairs]))
    assert measured.ndcg == pytest.approx(np.mean([ndcg(*pair) for pair in pairs]))


def test_no_item_and_no_number() -> None:
    """Column 0 is ahead of nobody, unknown items are nowhere, and NaN is refused, not first."""
    scores = np.array([[9, 1, 3, 2]], np.float32)
    assert ranks(scores, np.array([3])).tolist() == [2]
    mask(scores, [np.array([2])])
    assert ranks(scores, np.array([3])).tolist() == [1]
    unknown = np.array([[0, -np.inf, -np.inf, -np.inf]], np.float32)
    assert ranks(unknown, np.array([1])).tolist() == [4]
    with pytest.raises(ValueError, match="diverged"):
        ranks(np.array([[0, np.nan, 1]], np.float32), np.array([1]))


def test_the_last_two_items_are_held_out(tmp_path: Path) -> None:
    """The last is the test's, the one before it the validation's, and the rest is trained on."""
    path = tmp_path / "two.txt.gz"
    path.write_bytes(gzip.compress(b"1 5 6 7 8\n2 3 4 5 6 9\n"))
    held = read(path)
    assert [items.tolist() for items in held.train] == [[5, 6], [3, 4, 5]]
    assert (held.validation.tolist(), held.test.tolist(), held.items) == ([7, 6], [8, 9], 9)
    assert [items.tolist() for items in held.before_test()] == [[5, 6, 7], [3, 4, 5, 6]]


@pytest.mark.parametrize(
    ("line", "why"), [("2 1 2 3", "wants 4"), ("2 1 2 3 0", "of 1 or more"), ("2 a b c d", "'a'")]
)
def test_a_line_that_is_no_history(tmp_path: Path, line: str, why: str) -> None:
    """What cannot be split is refused with its place."""
    path = tmp_path / "bad.txt.gz"
    path.write_bytes(gzip.compress(f"1 5 6 7 8\n{line}\n".encode()))
    with pytest.raises(ValueError, match=f"line 2: .*{why}"):
        read(path)


def test_a_race_is_measured(tmp_path: Path) -> None:
    """Records as they were told, options of the task before the contender's, and what it took."""
    seen: list[Epoch] = []
    measured = raced(FAKE, tmp_path, seen)
    assert [epoch.validation.ndcg for epoch in measured.epochs] == [0.1, 0.3, 0.2]
    assert list(measured.epochs) == seen
    assert measured.outcome.masked.recall == 0.4
    assert measured.peak_bytes > 200_000_000
    assert measured.processor_seconds > 0
    told = task_of([(tmp_path / "log").read_text()])
    assert told.options == {"width": 8, "rate": 0.2}


def test_time_to_an_ndcg() -> None:
    """The epochs up to the first that reached it count, and one never reached has no time."""
    measured = run("ours", [0.1, 0.3, 0.2], seconds=2.0, peak_bytes=1)
    assert (measured.epochs_to(0.2), measured.seconds_to(0.2)) == (2, 4.0)
    assert measured.processor_seconds_to(0.2) == 8.0
    assert measured.seconds_to(0.31) is None


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("print('hello')", "said b'hello"),
        ("raise SystemExit(3)", "ended with 3"),
        (FAKE + "\nraise SystemExit(1)", "ended with 1"),
    ],
)
def test_a_contender_that_fails(tmp_path: Path, code: str, why: str) -> None:
    """It is named with what it did and where its log is; its figures are not used."""
    with pytest.raises(ContenderFailed, match=f"fake {why}.*log"):
        raced(code, tmp_path, [])


def test_a_task_that_is_none() -> None:
    """A contender started by hand says what it wants; a misspelt setting is refused."""
    with pytest.raises(SystemExit, match="one argument"):
        task_of([])
    with pytest.raises(msgspec.ValidationError, match="epoch"):
        task_of(['{"data":"d","seed":1,"threads":1,"epochs":1,"patience":1,"epoch":1}'])


def test_ours_against_a_library() -> None:
    """Compared is the time to what both have reached, which is the lesser of their bests."""
    ours = run("ours", [0.02, 0.05, 0.06], seconds=1.0, peak_bytes=100)
    theirs = run("library", [0.01, 0.02, 0.03, 0.05], seconds=10.0, peak_bytes=400)
    rows = {(each.measure, each.unit): each for each in rows_against(ours, theirs)}
    time = rows["ours against library, time to NDCG@10 0.0500", "times"]
    assert (time.value, time.gate) == (20.0, 1.5)
    memory = rows["ours against library, memory", "times"]
    assert (memory.value, memory.gate) == (0.25, 1.0)
    table = milestones((ours, theirs))
    assert list(table.columns[2].cells)[-1] == "40.0 (4)"


def test_rows_of_a_run() -> None:
    """An epoch is a median with its extremes; test figures say which protocol is theirs."""
    rows = {
        (each.measure, each.unit): each
        for each in rows_of(run("x", [0.1, 0.3], seconds=2.0, peak_bytes=10**6))
    }
    assert rows["x: epoch", "s"].value == 2.0
    assert rows["x: at most", "MB"].value == 1.0
    assert rows["x: validation, best", "NDCG@10"].value == 0.3
    assert ("x: test, history masked", "NDCG@10") in rows
    assert ("x: test, history not masked", "Recall@10") in rows


def test_a_quick_race_has_few_users(tmp_path: Path) -> None:
    """The first lines of the file, whole."""
    whole = small_file(tmp_path, users=9, items=20)
    few = read(first_users(whole, 4, tmp_path))
    assert [each.tolist() for each in few.train] == [
        each.tolist() for each in read(whole).train[:4]
    ]
