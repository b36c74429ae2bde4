"""A plan's parts: the work is counted by the code that will do it, times are fitted to runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from model_export import prepared_folder
from model_export.dataset import TRAIN, vocabulary_index
from model_export.errors import DataRefused
from model_export.modelling.model import Model
from model_export.planning import facts
from model_export.planning.calibrate import Run, Size, calibrate, error, fitted
from model_export.planning.costs import PHASES
from model_export.planning.facts import assumed, measured
from model_export.planning.machine import TYPICAL, Machine, keep, kept, machine_for
from model_export.planning.memory import bundle_bytes, memory
from model_export.planning.plan import plan, seconds
from model_export.planning.synthetic import made_up
from model_export.planning.text import amount, duration, text
from model_export.planning.workload import workload
from model_export.settings import TrainSettings, train_settings
from model_export.training.coding import EPOCHS
from model_export.training.quantize import bytes_for
from model_export.training.sequences import batch_of, histories, packed, shuffled, windows
from services.shared.product_codes import CENTROIDS
from tests.planning_parts import machine, settings_of, work_of


@pytest.mark.parametrize("lines", [1.0, 6.0])
def test_work_is_what_training_packs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: float
) -> None:
    """A sample of a tenth says within a tenth how many rows, askers and targets there are."""
    monkeypatch.setattr(facts, "SAMPLE", 3_000)
    data = made_up(2_000, 500, 30_000, lines=lines)
    prepared_folder.save(data, tmp_path)
    settings = TrainSettings(max_length=20, batch_rows=16)
    work = workload(measured(tmp_path), settings)
    index = vocabulary_index(data.ids, np.arange(500))
    random = np.random.default_rng(3)
    past = shuffled(histories(data, index, part=TRAIN), random)
    rows = packed(past, windows(past, max_length=20, random=random), max_length=20, random=random)
    batches = [
        batch_of(past, rows, first, first + 16, most_targets=32)
        for first in range(0, len(rows.items) - 15, 16)
    ]
    assert work.packed_rows == pytest.approx(len(rows.items), rel=0.1)
    assert work.fill == pytest.approx((rows.items > 0).mean(), rel=0.1)
    assert work.step.rows == 16
    for told, sizes in (
        (work.step.asked, [batch.places.shape[1] for batch in batches]),
        (work.step.queries, [len(batch.states) for batch in batches]),
        (work.step.pairs, [len(batch.targets) for batch in batches]),
    ):
        assert told == pytest.approx(np.mean(sizes), rel=0.1)


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"architecture": "encoder-decoder", "layers": 2},
        {"recall": True, "heads": 4, "dimensions": 32},
    ],
)
@pytest.mark.parametrize(("features", "words"), [(0, 0), (7, 0), (7, 5), (0, 5)])
def test_parameters_are_those_of_the_model(told: dict[str, Any], features: int, words: int) -> None:
    """Counted without building the tables: the number is that of the model that is trained."""
    data = replace(assumed(100, 60, 900), feature_names=features, features=2, text=words)
    settings = train_settings(told)
    work = workload(data, settings)
    tables = torch.zeros(61, 2, dtype=torch.int32), torch.zeros(61, words)
    model = Model(work.shape, torch.ones(61, dtype=torch.bool), *tables)
    assert work.shape.products == 60
    assert work.parameters == sum(each.numel() for each in model.parameters())


def test_assumed_histories_are_as_long_as_those_we_know() -> None:
    """99 of 100 are no longer than 4 to 6 times the mean; the mean is what was told."""
    data = assumed(50_000, 1_000, 1_000_000)
    assert len(data.sample.items) == pytest.approx(facts.SAMPLE, rel=0.1)
    assert 4 * 20 < data.told.long_history < 6 * 20
    assert assumed(50_000, 1_000, 1_000_000, lines=5.0).sample.starts.size < data.sample.starts.size


@pytest.mark.parametrize(
    ("figures", "says"),
    [
        ((1_000, 10, 2_000), "fewer than 3 for each"),
        ((0, 9, 90), "of 0 users"),
        ((10, 1, 100), "1 items"),
        ((9, 99, 50), "99"),
    ],
)
def test_figures_that_no_data_has_are_refused(figures: tuple[int, int, int], says: str) -> None:
    """Fewer than 3 events a user; nobody; one item; more items than events; half a line."""
    with pytest.raises(DataRefused, match=says):
        assumed(*figures)
    with pytest.raises(DataRefused, match="1 line or more"):
        assumed(100, 10, 2_000, lines=0.5)


def test_constants_are_found_again() -> None:
    """Runs whose times were made of constants give these constants, and none below 0."""
    sizes = [(300, 50, 4_000), (500, 5_000, 9_000), (900, 100, 9_000), (99, 900, 20_000)]
    works = [work_of(*size) for size in sizes]
    works += [work_of(300, 50, 4_000, dimensions=16), work_of(300, 50, 4_000, batch_rows=8)]
    truth = {"start": 4e-3, "parameter": 2e-9, "multiplication": 1e-10, "attention cell": 6e-8}
    runs = []
    for work in works:
        terms = PHASES["step"](work)
        runs.append(Run(work, {"step": sum(truth.get(k, 0.0) * v for k, v in terms.items())}, 1.0))
    found = fitted("step", runs)
    assert {k: v for k, v in found.items() if k in truth} == pytest.approx(truth, rel=1e-3)
    assert 0 <= found["score"] < 1e-12


def test_a_machine_is_measured_by_real_trainings() -> None:
    """Small ones here: the constants foretell them, and every phase has its terms."""
    sizes = [
        Size(60, 30, 600, 1.0, {"max_length": 10, "batch_rows": 8, "dimensions": 16}),
        Size(90, 300, 1_500, 1.0, {"max_length": 20, "batch_rows": 16, "dimensions": 16}),
    ]
    said: list[str] = []
    found = calibrate(threads=1, device="cpu", say=said.append, sizes=sizes, checked=sizes[1])
    assert (found.threads, found.device) == (1, "cpu")
    assert set(found.seconds) == set(PHASES)
    assert all(value >= 0 for terms in found.seconds.values() for value in terms.values())
    assert sum(found.seconds["step"].values()) > 0
    assert found.base_bytes > 50_000_000
    assert "90 users, 300 items, 1,500 events" in said


def test_an_estimate_is_wrong_by_what_it_is_wrong() -> None:
    """Half of what it took is an error of a half."""
    work = work_of(300, 50, 4_000)
    constants = machine().seconds
    took = {
        phase: 2 * sum(constants[phase][k] * v for k, v in PHASES[phase](work).items())
        for phase in PHASES
    }
    assert error(Run(work, took, 1.0), constants) == pytest.approx(0.5)


def test_time_is_the_sum_of_its_phases() -> None:
    """Steps and validation go with the epochs; stopping early is sooner than all of them."""
    data, told = assumed(300, 50, 3_000), settings_of(300, 50, 3_000)
    found = plan(data, told, machine())
    assert found.time.processor == pytest.approx(sum(found.time.phases.values()))
    assert found.time.low < found.time.clock < found.time.high
    assert found.time.soonest < found.time.clock
    one, two = (seconds(found.work, machine(), epochs) for epochs in (1, 2))
    assert two["step"] == pytest.approx(2 * one["step"])
    assert two["begin"] == one["begin"]
    again = seconds(msgspec.structs.replace(found.work, refit=True), machine(), 1)
    assert again["refit"] == one["begin"] + one["prepare"] + one["step"]


def test_memory_is_counted_in_arrays() -> None:
    """Seven of each parameter; what takes most is another phase for other data."""
    small, wide = memory(work_of(300, 50, 3_000), 10**8), memory(work_of(300, 900, 3_000), 10**8)
    assert small.peak == small.base + small.data + small.model + small.height
    assert wide.model - small.model == 850 * 64 * 4 * 7
    assert memory(work_of(60_000, 500, 1_800_000), 10**8).phase in {"packing", "steps"}
    assert memory(work_of(3_000, 900_000, 1_000_000), 10**8).phase == "first item vectors"
    work = work_of(300, 900, 3_000)
    assert bundle_bytes(work) == 900 * (2 * 64 + 16) + 4 * (work.parameters - work.table)
    work = work_of(50_000, 120_000, 200_000)
    a_code, books = bytes_for(128), bytes_for(128) * CENTROIDS * 4 * 128
    graph = 4 * (work.parameters - work.table)
    assert bundle_bytes(work) == 120_000 * (a_code + 16) + books + graph


def test_what_was_measured_is_kept_by_threads_and_device(tmp_path: Path) -> None:
    """The same again replaces it; other threads get the nearest, and a sentence about it."""
    path = tmp_path / "machine.json"
    for each in (machine(each=1.0), machine(threads=8), machine(each=2.0)):
        keep(each, path)
    assert sorted(each.threads for each in kept(path)) == [1, 8]
    assert machine_for(path, threads=1, device="cpu") == (machine(each=2.0), "")
    found, note = machine_for(path, threads=6, device="cpu")
    assert (found.threads, "not measured for 6 threads on cpu: figures of 8" in note) == (8, True)
    other, note = machine_for(tmp_path / "none.json", threads=1, device="cpu")
    assert other == TYPICAL
    assert "plan --calibrate --threads 1" in note
    path.write_text("[1]")
    with pytest.raises(DataRefused, match="is no calibration of this release"):
        kept(path)
    keep(machine(), path)
    assert kept(path) == [machine()]


def test_the_figures_without_a_calibration_have_every_term() -> None:
    """A machine that nobody measured can be planned with."""
    work = work_of(300, 50, 3_000)
    for phase, terms in PHASES.items():
        assert set(TYPICAL.seconds[phase]) == set(terms(work))
    assert isinstance(msgspec.json.decode(msgspec.json.encode(TYPICAL), type=Machine), Machine)


def test_a_plan_is_read_by_people() -> None:
    """Time with its range, memory, and no figure of accuracy where nothing was measured."""
    data, told = assumed(300, 50, 3_000), settings_of(300, 50, 3_000)
    said = text(plan(data, told, machine(), note="of another machine"))
    assert "300 users, 50 items, 3,000 interactions to learn from" in said
    assert "of another machine" in said
    assert "nothing can be said of accuracy" in said
    assert "NDCG" not in said
    assert f"{told.epochs} epochs at most, " in said
    assert [duration(s) for s in (9.6, 240, 9_000)] == ["10 s", "4.0 min", "2.5 h"]
    assert [amount(b) for b in (2_400_000, 3_210_000_000)] == ["2 MB", "3.21 GB"]


def test_a_plan_says_what_a_large_catalogue_adds() -> None:
    """Epochs as codes come on top of those that end when nothing gets better."""
    told = msgspec.structs.replace(settings_of(300, 50, 3_000), codes_above=49)
    said = text(plan(assumed(300, 50, 3_000), told, machine()))
    assert f"{told.epochs} epochs at most and {EPOCHS} more as codes, " in said
