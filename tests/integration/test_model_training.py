"""A training survives: kills, several processes, spoiled files, and says what it cannot do."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from model_export import prepared_folder
from model_export.__main__ import main
from model_export.dataset import TRAIN
from model_export.errors import CheckpointNotWritten
from model_export.modelling.model import Model
from model_export.settings import TrainSettings
from model_export.training import checkpoint
from model_export.training.catalogue import catalogue
from model_export.training.processes import processes
from model_export.training.sampled_softmax import Sampler
from model_export.training.sequences import batch_of, histories, packed, windows
from model_export.training.statistics import statistics
from model_export.training.steps import Training, batch_loss
from services.shared.bundle_files import sha256_of
from tests.model_parts import by_time, rounds

ROOT = Path(__file__).parents[2]
IMPORTED = multiprocessing.get_context("forkserver")
"""Processes that have what training imports, and have computed nothing: no thread is forked."""
IMPORTED.set_forkserver_preload(
    [__name__, "model_export.card.charts", "model_export.progress", "torch._dynamo"]
)
TOLD = (
    "--dimensions 16 --max-length 12 --epochs 2 --patience 2 --warm-up 5 --batch-rows 4 "
    "--negatives 4 --ema 0.9 --codes-above 7 --refit yes"
)
"""Dropout, draws, codes, all of it twice: every source of chance is alive."""
KILLED_AT = (
    *(("search.state.npz", 3), ("codes.state.npz", 5)),
    *(("refit.state.npz", 3), ("refit-codes.state.npz", 5)),
    ("parameters.npz", 1),
)
"""Once in each of a training's parts, in the middle of an epoch, and within writing the end."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared folder of three shards."""
    folder = tmp_path_factory.mktemp("training") / "data"
    prepared_folder.save(by_time(rounds(users=20, days=12)), folder, shard_rows=80)
    assert len(prepared_folder.Shards(folder)) == 3
    return folder


@pytest.fixture(scope="module")
def uninterrupted(data: Path) -> Path:
    """The checkpoint of a training that nothing disturbed."""
    assert main(f"train {data} --to {data.parent}/whole {TOLD}".split()) == 0
    return data.parent / "whole"


def killed(name: str, times: int, data: Path, to: Path, *more: str) -> None:
    """A training in a process of its own, saved at every step, killed as it has written a file.

    It is the ``times``-th time that this process puts the file ``name`` in its place.
    """
    arguments = ["train", str(data), "--to", str(to), *TOLD.split(), "--save-every", "0", *more]
    training = IMPORTED.Process(target=_run_until, args=(arguments, name, times))
    training.start()
    training.join(120)
    assert training.exitcode == -signal.SIGKILL, name


def _run_until(arguments: list[str], name: str, times: int) -> None:
    replace, done = Path.replace, 0

    def counted(path: Path, target: Path) -> Path:
        nonlocal done
        found = replace(path, target)
        done += target.name == name
        if done == times:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    Path.replace = counted  # type: ignore[method-assign, assignment]  # in this process alone
    sys.exit(main(arguments))


def same(one: Path, other: Path) -> bool:
    names = ("parameters.npz", "checkpoint.json")
    return all(sha256_of(one / name) == sha256_of(other / name) for name in names)


def test_a_killed_training_goes_on_to_the_same_result(
    data: Path, uninterrupted: Path, tmp_path: Path
) -> None:
    """Killed -9 in each of its parts, one after the other, it ends as one left alone."""
    for name, times in KILLED_AT:
        killed(name, times, data, tmp_path)
        assert (tmp_path / name).exists()
        assert not (tmp_path / "checkpoint.json").exists()
    assert main(f"train {data} --to {tmp_path} {TOLD}".split()) == 0
    assert same(tmp_path, uninterrupted)
    names = {"parameters.npz", "checkpoint.json", "training.svg"}
    assert {path.name for path in tmp_path.iterdir()} == names


def test_two_processes_train_the_same_model(data: Path, tmp_path: Path) -> None:
    """Torchrun's processes share each batch; the sum of their gradients is that of one."""
    told = f"{TOLD} --dropout 0 --refit no"
    arguments = f"-m model_export train {data} {told} --to".split()
    assert main([*arguments[2:], str(tmp_path / "alone")]) == 0
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    both = subprocess.run(
        [sys.executable, *torchrun, *arguments, str(tmp_path / "both")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": ".:build/gen", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert both.returncode == 0, both.stderr
    about = prepared_folder.load_about(data)
    (one, of_one), (two, of_two) = (
        checkpoint.load(tmp_path / name, about) for name in ("alone", "both")
    )
    assert of_one.validation_ndcg == pytest.approx(of_two.validation_ndcg, abs=0.02)
    drift = (one.items.vectors() - two.items.vectors()).abs().max().item()
    assert drift < 0.01


def test_half_precision_changes_little(data: Path) -> None:
    """What a GPU computes in bfloat16, computed so here: the loss, and which way it falls."""
    prepared = prepared_folder.load(data)
    settings = TrainSettings(dimensions=16, max_length=12, dropout=0.0)
    _, counts = statistics([prepared], prepared.ids, None)
    known = catalogue(prepared.ids, None, counts, least=1, name="rounds")
    model = Model(
        settings.shape(products=len(known.known), features=0, text=0),
        known.has_id,
        known.features,
        known.text,
    )
    training = Training(settings, model, known, counts, processes("cpu"), part=TRAIN)
    past = histories(prepared, known.index, part=TRAIN)
    random = np.random.default_rng(1)
    found = windows(past, max_length=12, random=random)
    rows = packed(past, found, max_length=12, random=random)
    batch = batch_of(past, rows, 0, 8, most_targets=32)
    negatives = Sampler(np.concatenate([[0], counts])).negatives(64, random)
    losses, falls = [], []
    for half in (False, True):
        training.model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = batch_loss(training.model, batch, negatives)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        losses.append(loss.item())
        falls.append(
            torch.cat(
                [
                    each.grad.flatten()
                    for each in training.model.parameters()
                    if each.grad is not None
                ]
            )
        )
    assert losses[1] == pytest.approx(losses[0], rel=0.01)
    assert losses[1] != losses[0]
    assert torch.cosine_similarity(falls[0], falls[1], dim=0) > 0.99


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
def test_a_gpu_trains_as_well(data: Path, uninterrupted: Path, tmp_path: Path) -> None:
    """In half precision, to the same accuracy."""
    assert main(f"train {data} --to {tmp_path} {TOLD} --device cuda".split()) == 0
    about = prepared_folder.load_about(data)
    (_, here), (_, there) = (checkpoint.load(each, about) for each in (uninterrupted, tmp_path))
    assert there.validation_ndcg == pytest.approx(here.validation_ndcg, abs=0.05)


@pytest.mark.parametrize("content", [b"", b"PK damaged"], ids=["empty", "damaged"])
def test_a_state_that_is_damaged(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    """It is not silently begun anew, which may cost days: a sentence names the file."""
    (tmp_path / "search.state.npz").write_bytes(content)
    assert main(f"train {data} --to {tmp_path} {TOLD}".split()) == 2
    said = capsys.readouterr().err
    assert "search.state.npz is damaged" in said
    assert "remove it to train from the beginning" in said


def test_a_state_of_another_run_is_not_gone_on_from(
    data: Path, uninterrupted: Path, tmp_path: Path
) -> None:
    """Other settings are another training, which begins at its beginning."""
    killed("search.state.npz", 2, data, tmp_path, "--seed", "2")
    assert main(f"train {data} --to {tmp_path} {TOLD}".split()) == 0
    assert same(tmp_path, uninterrupted)


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """No file of this process may grow beyond ``size`` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def kept(uninterrupted: Path, tmp_path: Path) -> Path:
    """A folder with a checkpoint, and nothing else."""
    (tmp_path / "kept").mkdir()
    for name in ("parameters.npz", "checkpoint.json"):
        (tmp_path / "kept" / name).write_bytes((uninterrupted / name).read_bytes())
    return tmp_path / "kept"


def test_a_disk_that_is_full(
    data: Path, uninterrupted: Path, kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A sentence with the file's name, and status 2; the checkpoint that was there stays."""
    with full_disk(4096):
        assert main(f"train {data} --to {kept} {TOLD} --epochs 1".split()) == 2
    said = capsys.readouterr().err
    assert f"CHECKPOINT_NOT_WRITTEN: {kept}/search.state.npz cannot be written: File too" in said
    assert "The checkpoint that was there before is untouched; make room on the disk" in said
    assert same(kept, uninterrupted)
    assert {path.name for path in kept.iterdir()} == {"parameters.npz", "checkpoint.json"}


@pytest.mark.parametrize(
    ("name", "size"),
    [("parameters.npz", 2_000), ("checkpoint.json", 150_000)],
    ids=["first", "second"],
)
def test_a_disk_that_is_full_at_the_end(
    data: Path, uninterrupted: Path, kept: Path, name: str, size: int
) -> None:
    """Whichever of the two files finds no room: both former ones stay, and nothing beside them."""
    model, made = checkpoint.load(kept, prepared_folder.load_about(data))
    if name == "checkpoint.json":  # longer than the parameters, and than the limit
        made = msgspec.structs.replace(made, versions={"long": "x" * 200_000})
    with full_disk(size), pytest.raises(CheckpointNotWritten, match=name):
        checkpoint.save(model, made, kept)
    assert same(kept, uninterrupted)
    assert {path.name for path in kept.iterdir()} == {"parameters.npz", "checkpoint.json"}
