"""From interactions to a bundle by the command line, with real torch, ONNX and ONNX Runtime."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from model_export import checkpoint, dataset, graph
from model_export.__main__ import main
from model_export.errors import DataRefused, ParityBroken, ReportWrong
from model_export.evaluate import Evaluation
from model_export.export import PARITY, check_parity, export
from model_export.train import train
from model_export.verify import verify, verify_report
from services.shared.bundle import Manifest, load_bundle, sha256_of
from services.shared.encoder import Encoder
from services.shared.errors import BundleRefused
from services.shared.model_input import PURCHASE, Interaction, encode
from tests.model_parts import QUICK, by_time, leave_one_out, rounds, write_csv

ROOT = Path(__file__).parents[2]
COMMANDS = ("prepare", "train", "evaluate", "export", "verify")
TRAINING = "--dimensions 16 --max-length 12 --least-interactions 1 --epochs 12 --warm-up 5 "
TRAINING += "--batch-size 8 --negatives 64 --dropout 0 --ema 0.9"


class Silent:
    """Watches a training and says nothing."""

    def __init__(self) -> None:
        self.epochs: list[float] = []

    def step(self, done: float, loss: float) -> None:
        assert 0 <= done < 1
        assert loss >= 0

    def epoch(self, number: int, ndcg: float) -> None:
        self.epochs.append(ndcg)
        assert number == len(self.epochs)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``shop.csv``, ``data``, ``checkpoint`` and ``bundle``, made by commands."""
    folder = tmp_path_factory.mktemp("model")
    write_csv(rounds(), folder / "shop.csv")
    prepare = f"prepare {folder}/shop.csv --to {folder}/data --holdout-days 2 --validation-days 2"
    assert main(prepare.split()) == 0
    assert main(f"train {folder}/data --to {folder}/checkpoint {TRAINING}".split()) == 0
    source = f"export {folder}/data --checkpoint {folder}/checkpoint"
    assert main(f"{source} --to {folder}/bundle".split()) == 0
    return folder


@pytest.fixture
def bundle(made: Path, tmp_path: Path) -> Path:
    """A copy of the bundle, to be spoiled."""
    shutil.copytree(made / "bundle", tmp_path / "bundle")
    return tmp_path / "bundle"


def figures(found: Evaluation, method: str) -> float:
    return next(
        row.ndcg.mean for row in found.rows if (row.method, row.purchases) == (method, "all")
    )


def test_the_model_learns_what_only_order_tells(made: Path) -> None:
    """In a round of products everything is as popular and as often bought: order decides."""
    report = msgspec.json.decode((made / "bundle/report.json").read_bytes(), type=Evaluation)
    assert figures(report, "model") > 0.9
    for baseline in ("popularity", "item-kNN", "household's own"):
        assert figures(report, baseline) < 0.7


def test_the_server_ranks_next_what_training_taught(made: Path) -> None:
    """From a profile's interactions, by the server's own encoding, the next in the round."""
    bundle = load_bundle(made / "bundle")
    day = 86_400_000_000
    seen = [Interaction(n * day, f"i{n % 8}", PURCHASE) for n in range(5, 19)]
    query = Encoder(bundle).encode(encode(seen, bundle.vocabulary, max_length=12))
    best = int(np.argmax(bundle.item_vectors[1:] @ query)) + 1
    assert bundle.vocabulary.product_id(best) == f"i{19 % 8}"


def test_a_second_export_makes_the_same_bytes(made: Path, tmp_path: Path) -> None:
    """The same data and checkpoint make the same bundle, file by file."""
    source = f"export {made}/data --checkpoint {made}/checkpoint --to {tmp_path}/again"
    assert main(source.split()) == 0
    assert sums(tmp_path / "again") == sums(made / "bundle")


def test_a_second_training_makes_the_same_parameters(tmp_path: Path) -> None:
    """Every random number comes from the seed; another seed makes another model."""
    data = by_time(rounds())
    for name, settings in (
        ("one", QUICK),
        ("same", QUICK),
        ("other", msgspec.structs.replace(QUICK, seed=2)),
    ):
        model, about = train(data, settings, Silent())
        checkpoint.save(model, about, tmp_path / name)
    one, same, other = (
        sha256_of(tmp_path / n / "parameters.npz") for n in ("one", "same", "other")
    )
    assert one == same
    assert one != other


def test_training_keeps_the_best_epoch_and_stops() -> None:
    """What is kept is the epoch that the validation part liked best."""
    watched = Silent()
    settings = msgspec.structs.replace(QUICK, epochs=12, patience=2, learning_rate=0.03)
    _, about = train(by_time(rounds()), settings, watched)
    assert about.validation_ndcg == pytest.approx(max(watched.epochs), abs=1e-6)
    assert watched.epochs[about.epoch - 1] == max(watched.epochs)
    assert len(watched.epochs) <= about.epoch + 2


def test_too_little_to_train_on() -> None:
    """It is said which number to lower, or that nobody came twice."""
    few = leave_one_out({"ana": "abcd", "ben": "bcda"})
    with pytest.raises(DataRefused, match="lower --least-interactions or bring more data"):
        train(few, msgspec.structs.replace(QUICK, least_interactions=5), Silent())
    once = leave_one_out({"ana": "axy", "ben": "bxy"})
    with pytest.raises(DataRefused, match="no user has two moments"):
        train(once, QUICK, Silent())


def test_onnx_runtime_computes_what_torch_does(made: Path) -> None:
    """Every golden query, from the finished files, within 1e-4 of the model's own."""
    import torch

    model, _ = checkpoint.load(made / "checkpoint")
    golden = load_bundle(made / "bundle").golden
    assert len(golden.items) == 64
    table = load_bundle(made / "bundle").item_vectors
    vectors = torch.from_numpy(table[golden.items])
    actions, gaps = torch.from_numpy(golden.actions), torch.from_numpy(golden.gaps)
    last = torch.full((64, 1), golden.items.shape[1] - 1)
    with torch.no_grad():
        expected = model(vectors, actions, gaps, last)[:, 0].numpy()
    found = graph.run(made / "bundle/encoder.onnx", vectors.numpy(), golden.actions, golden.gaps)
    assert np.abs(found - expected).max() <= PARITY
    assert np.array_equal(golden.queries, expected)


def test_broken_parity_is_refused() -> None:
    """A graph that computes something else names the input and by how much."""
    queries = np.zeros((3, 4), np.float32)
    queries[1, 2] = 2e-4
    with pytest.raises(ParityBroken, match=r"golden input 1: .* by 0.0002, allowed is 0.0001"):
        check_parity(queries, np.zeros_like(queries))
    queries[1, 2] = np.nan
    with pytest.raises(ParityBroken):
        check_parity(queries, np.zeros_like(queries))


def test_a_bundle_is_whole_and_as_good_as_it_says(made: Path) -> None:
    """Sums, golden outputs and, on the same data, the report."""
    whole = verify(made / "bundle")
    assert whole.manifest.version.startswith("shop-")
    assert whole.manifest.metrics["ndcg_at_10_all"] > 0.9
    verify_report(whole, dataset.load(made / "data"))


def test_a_report_that_boasts(made: Path, bundle: Path) -> None:
    """A figure that evaluating again does not give is named, with both values."""
    report = json.loads((bundle / "report.json").read_bytes())
    report["rows"][0]["ndcg"][0] += 0.01
    rewrite(bundle, "report.json", json.dumps(report).encode())
    with pytest.raises(ReportWrong, match=r"report.json says ndcg .* of model \(all purchases\)"):
        verify_report(verify(bundle), dataset.load(made / "data"))


def test_a_report_about_other_data(bundle: Path) -> None:
    """Figures of other data prove nothing."""
    with pytest.raises(DataRefused, match=r"the bundle was made from shop\.csv"):
        verify_report(verify(bundle), by_time(rounds()))


@pytest.mark.parametrize("name", ["encoder.onnx", "items.npy", "report.json"])
def test_a_changed_file(bundle: Path, name: str) -> None:
    """One byte more, and the sum in the manifest differs."""
    with (bundle / name).open("ab") as file:
        file.write(b" ")
    with pytest.raises(BundleRefused, match=f"{name} has SHA-256"):
        verify(bundle)


def test_vectors_that_do_not_belong_to_the_golden_outputs(bundle: Path) -> None:
    """A bundle sealed anew around other vectors is whole, and still computes something else."""
    table = np.load(bundle / "items.npy")
    table[1:] = table[:0:-1]
    np.save(bundle / "items.npy", table)
    rewrite(bundle, "items.npy", (bundle / "items.npy").read_bytes())
    with pytest.raises(BundleRefused, match="golden input"):
        verify(bundle)


def test_export_replaces_a_bundle_and_nothing_else(made: Path, tmp_path: Path) -> None:
    """A folder of somebody's own is not removed for a bundle."""
    (tmp_path / "photo.jpg").write_bytes(b"")
    data = dataset.load(made / "data")
    with pytest.raises(DataRefused, match="is there and is no bundle"):
        export(data, *checkpoint.load(made / "checkpoint"), tmp_path)
    assert (tmp_path / "photo.jpg").exists()
    with pytest.raises(DataRefused, match="trained on other data"):
        export(by_time(rounds()), *checkpoint.load(made / "checkpoint"), tmp_path / "new")


def test_export_of_another_split_of_the_same_data(made: Path, tmp_path: Path) -> None:
    """Days that the model was trained on must not be foretold in its report."""
    source = f"prepare {made}/shop.csv --to {tmp_path}/data --holdout-days 6 --validation-days 2"
    assert main(source.split()) == 0
    to = f"--checkpoint {made}/checkpoint --to {tmp_path}/bundle"
    assert main(f"export {tmp_path}/data {to}".split()) == 2
    assert not (tmp_path / "bundle").exists()


def test_an_export_that_fails_leaves_nothing(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a bundle nor half of one; what was there before stays."""
    shutil.copytree(made / "bundle", tmp_path / "bundle")
    before = sums(tmp_path / "bundle")

    def broken(*_: object) -> None:
        raise ParityBroken("made up")

    monkeypatch.setattr("model_export.export.check_parity", broken)
    data = dataset.load(made / "data")
    with pytest.raises(ParityBroken):
        export(data, *checkpoint.load(made / "checkpoint"), tmp_path / "bundle")
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
    assert sums(tmp_path / "bundle") == before


def test_the_manifest_says_how_to_make_the_model_again(made: Path) -> None:
    """Every setting of the training is in it."""
    origin = load_bundle(made / "bundle").manifest.created_from
    for field in msgspec.structs.fields(QUICK):
        assert f"train.{field.name}" in origin
    assert origin["train.epochs"] == 12
    assert origin["split"] == "by time"
    days = [str(origin[name])[8:10] for name in ("last", "held_out_from", "validation_from")]
    assert [int(day) for day in days] == [24, 22, 20]


def test_a_checkpoint_that_is_none(tmp_path: Path) -> None:
    """A missing one says how to make it, a damaged one that it cannot be used."""
    with pytest.raises(DataRefused, match="make it with 'python -m model_export train'"):
        checkpoint.load(tmp_path)
    (tmp_path / "checkpoint.json").write_text("{}")
    with pytest.raises(DataRefused, match="is no checkpoint of this release"):
        checkpoint.load(tmp_path)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(command: str) -> None:
    """`--help` says what the command does, what it takes by default, and shows examples."""
    said = run(command, "--help").stdout
    assert "examples:\n  python -m model_export " + command in said
    assert "default" in said
    assert command in run("--help").stdout


def test_evaluate_prints_one_json_object(made: Path) -> None:
    """For programs: nothing else on standard output."""
    said = run("evaluate", f"{made}/data", "--bundle", f"{made}/bundle", "--json")
    found = msgspec.json.decode(said.stdout, type=Evaluation)
    assert found == msgspec.json.decode((made / "bundle/report.json").read_bytes(), type=Evaluation)


def test_evaluate_takes_a_table_or_s3rec_as_it_is(made: Path, tmp_path: Path) -> None:
    """A file needs no prepared folder; the text format is split by leaving one out."""
    table = run("evaluate", f"{made}/shop.csv", "--holdout-days", "2", "--no-bundle")
    assert "shop.csv, split by time: 120 baskets of 60 users" in table.stdout
    (tmp_path / "few.txt").write_text("ana mug pen cup mug\nben pen mug pen cup\n")
    few = ("evaluate", f"{tmp_path}/few.txt", "--format", "s3rec")
    found = json.loads(run(*few, "--json").stdout)
    assert (found["split"], found["cases"], found["catalogue_size"]) == ("leave one out", 2, 3)
    assert {row["method"] for row in found["rows"]} == {"popularity", "item-kNN", "household's own"}
    assert "popularity of all time" in run(*few).stdout
    other = run(*few, "--bundle", f"{made}/bundle", status=2).stderr
    assert "DATA_REFUSED" in other
    assert "knows none of the products of few.txt" in other


def test_s3rec_all_the_way(tmp_path: Path) -> None:
    """Prepared, trained, exported and evaluated from one line a user."""
    letters = "abcdefgh"
    lines = (f"u{n} " + " ".join(letters[(n + i) % 8] for i in range(20)) for n in range(40))
    (tmp_path / "round.txt").write_text("\n".join(lines) + "\n")
    source = f"prepare {tmp_path}/round.txt --format s3rec --to {tmp_path}/data"
    assert main(source.split()) == 0
    assert main(f"train {tmp_path}/data --to {tmp_path}/checkpoint {TRAINING}".split()) == 0
    to = f"--checkpoint {tmp_path}/checkpoint --to {tmp_path}/bundle"
    assert main(f"export {tmp_path}/data {to}".split()) == 0
    told = ("--format", "s3rec", "--bundle", f"{tmp_path}/bundle", "--json")
    found = msgspec.json.decode(
        run("evaluate", f"{tmp_path}/round.txt", *told).stdout, type=Evaluation
    )
    assert figures(found, "model") > 0.9 > 0.7 > figures(found, "popularity")


def test_prepare_says_what_became_of_the_rows(tmp_path: Path) -> None:
    """How many were kept, how many were left out, and why."""
    path = write_csv(rounds(), tmp_path / "shop.csv")
    with path.open("a") as file:
        file.write(",i1,86400\n")
    said = run("prepare", str(path), "--to", f"{tmp_path}/data", "--holdout-days", "2").stdout
    assert "1,440 of 1,441 rows, 60 users, 8 items, split by time" in said
    assert "left out 1: no user, item or time" in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("prepare",), "name an input file, or say --complete-journey"),
        (("prepare", "no.csv"), "no.csv is not a file"),
        (("train", "nowhere"), "prepare"),
        (("export", "nowhere"), "prepare"),
        (("verify", "nowhere"), "BUNDLE_REFUSED: nowhere/manifest.json is missing"),
        (("evaluate", "nowhere", "--holdout-days", "3"), "nowhere is prepared already"),
        (("evaluate", "nowhere", "--time-unit", "s"), "nowhere is prepared already"),
        (("prepare", "no.txt", "--format", "s3rec", "--holdout-days", "3"), "has no times"),
        (("prepare", "--complete-journey", "--format", "table"), "a form of its own"),
        (("train", "nowhere", "--heads", "3"), "BAD_SETTING: 3 heads cannot share 64 dimensions"),
        (("train", "nowhere", "--dropout", "2"), "BAD_SETTING: --dropout: Expected `float` < 1"),
        (("evaluate", "no.txt", "--format", "s3rec", "--no-bundle"), "no.txt cannot be read"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(arguments: tuple[str, ...], says: str) -> None:
    """Status 2 and a sentence on standard error; never a traceback."""
    result = run(*arguments, status=2)
    assert re.match("[A-Z_]+: ", result.stderr)
    assert says in result.stderr
    assert "Traceback" not in result.stderr


def run(*arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    result = subprocess.run(
        [sys.executable, "-m", "model_export", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == status, result.stderr
    return result


def sums(folder: Path) -> dict[str, str]:
    return {path.name: sha256_of(path) for path in sorted(folder.iterdir())}


def rewrite(folder: Path, name: str, content: bytes) -> None:
    """Replace a file and put its new sum into the manifest."""
    (folder / name).write_bytes(content)
    manifest = msgspec.json.decode((folder / "manifest.json").read_bytes(), type=Manifest)
    files: dict[str, Any] = {**manifest.files, name: sha256_of(folder / name)}
    changed = msgspec.structs.replace(manifest, files=files)
    (folder / "manifest.json").write_bytes(msgspec.json.encode(changed))
