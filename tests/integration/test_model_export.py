"""From interactions to a bundle, with real torch, ONNX and ONNX Runtime."""

from __future__ import annotations

import dataclasses
import json
import resource
import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from model_export import dataset
from model_export.__main__ import main
from model_export.dataset import HELD_OUT, Prepared
from model_export.errors import BundleNotWritten, DataRefused, ParityBroken, ReportWrong
from model_export.evaluation.baselines import ItemKNN, Popularity
from model_export.evaluation.evaluate import Evaluation
from model_export.exporting.export import PARITY, check_parity, export
from model_export.exporting.parts import ModelParts, parts_of
from model_export.exporting.verify import verify, verify_report
from model_export.modelling.model import Model
from model_export.settings import TrainSettings
from model_export.training import checkpoint
from model_export.training.checkpoint import Checkpoint
from model_export.training.processes import processes
from model_export.training.train import train
from services.shared.bundle import Manifest, load_bundle
from services.shared.bundle_files import sha256_of
from services.shared.bundle_settings import Blend
from services.shared.encoder import Encoder
from services.shared.errors import BundleRefused
from services.shared.item_vectors import FullVectors
from services.shared.model_input import PURCHASE, Interaction, encode
from services.shared.product_quantization import CodedVectors
from services.shared.repeat import RepeatTable
from services.shared.scores import best
from tests.model_parts import QUICK, by_time, figures, leave_one_out, rounds


class Silent:
    """Watches a training and says nothing."""

    def __init__(self) -> None:
        self.epochs: list[float] = []

    def step(self, done: float, loss: float) -> None:
        assert 0 <= done < 1
        assert loss >= 0

    def epoch(self, number: int, loss: float, ndcg: float) -> None:
        assert loss >= 0
        self.epochs.append(ndcg)
        assert number == len(self.epochs)


def trained(
    data: Prepared, settings: TrainSettings, watched: Silent | None = None
) -> tuple[Model, Checkpoint]:
    """A training in this process alone, with the data in memory."""
    alone = processes("cpu")
    return train(data.about, [data], settings, progress=watched or Silent(), processes=alone)


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
    (place,) = best(bundle.item_vectors.scores(query)[1:], 1)
    assert bundle.vocabulary.product_id(place + 1) == f"i{19 % 8}"


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
        model, about = trained(data, settings)
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
    _, about = trained(by_time(rounds()), settings, watched)
    assert about.validation_ndcg == pytest.approx(max(watched.epochs), abs=1e-6)
    assert watched.epochs[about.epoch - 1] == max(watched.epochs)
    assert len(watched.epochs) <= about.epoch + 2


def test_too_little_to_train_on() -> None:
    """It is said which number to lower, or that nobody came twice."""
    few = leave_one_out({"ana": "abcd", "ben": "bcda"})
    with pytest.raises(DataRefused, match="lower --least-interactions or bring more data"):
        trained(few, msgspec.structs.replace(QUICK, least_interactions=5))
    once = leave_one_out({"ana": "axy", "ben": "bxy"})
    with pytest.raises(DataRefused, match="no user has two moments"):
        trained(once, QUICK)


def test_onnx_runtime_computes_what_torch_does(made: Path) -> None:
    """Every golden query, from the finished files, within 1e-4 of the model's own."""
    import torch

    model, _ = checkpoint.load(made / "checkpoint", dataset.load_about(made / "data"))
    bundle = load_bundle(made / "bundle")
    golden = bundle.golden
    assert len(golden.items) == 64
    vectors = torch.from_numpy(bundle.item_vectors.rows(golden.items))
    # torch takes no arrays that may not be written to
    asked = (golden.actions.copy(), golden.gaps.copy(), golden.wanted.copy())
    with torch.no_grad():
        expected = model(vectors, *(torch.from_numpy(each) for each in asked)).numpy()
    found = Encoder(bundle).encode_batch(
        golden.items, golden.actions, golden.gaps, wanted=golden.wanted
    )
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
        export(data, *parts(made), tmp_path)
    assert (tmp_path / "photo.jpg").exists()
    with pytest.raises(DataRefused, match="trained on other data"):
        export(by_time(rounds()), *parts(made), tmp_path / "new")


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

    monkeypatch.setattr("model_export.exporting.export.check_parity", broken)
    data = dataset.load(made / "data")
    with pytest.raises(ParityBroken):
        export(data, *parts(made), tmp_path / "bundle")
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
    assert sums(tmp_path / "bundle") == before


def test_a_large_catalogue_becomes_codes(made: Path, tmp_path: Path) -> None:
    """Above the number of products that is told: proven, evaluated, and the same twice."""
    data = dataset.load(made / "data")
    for name in ("one", "two"):
        export(data, *parts(made), tmp_path / name, codes_above=7)
    coded = verify(tmp_path / "one")
    assert isinstance(coded.item_vectors, CodedVectors)
    assert "items.npy" not in coded.manifest.files
    assert sums(tmp_path / "one") == sums(tmp_path / "two")
    exact = np.load(made / "bundle/items.npy").astype(np.float32)
    found = coded.item_vectors.rows(np.arange(9))
    assert np.abs(found - exact).max() < 2e-3  # eight products have centroids of their own
    assert coded.manifest.metrics["ndcg_at_10_all"] > 0.9
    export(data, *parts(made), tmp_path / "full", codes_above=8)
    assert isinstance(load_bundle(tmp_path / "full").item_vectors, FullVectors)


def test_a_blend_is_evaluated_as_it_is_served(made: Path, tmp_path: Path) -> None:
    """Neighbours and a repeat table travel in the bundle, and its report is of the whole."""
    data = dataset.load(made / "data")
    whole, about = parts(made)
    popularity = Popularity(data, before=HELD_OUT, days=None)
    knn = ItemKNN(data, popularity, before=HELD_OUT)
    codes = np.searchsorted(data.ids.items, about.product_ids)
    blended = dataclasses.replace(
        whole,
        item_vectors=np.zeros_like(whole.item_vectors),
        neighbours=knn.matrix(codes, itself=1.0),
        repeat=RepeatTable((), (), ((0.0,),)),
        blend=Blend(neighbours=1.0, repeat=0.5),
    )
    report = export(data, blended, about, tmp_path / "blend")
    rows = {(row.method, row.purchases): row for row in report.rows}
    assert abs(rows["model", "all"].ndcg.mean - rows["item-kNN", "all"].ndcg.mean) < 1e-3
    assert verify(tmp_path / "blend").repeat == blended.repeat


def test_vectors_that_are_no_numbers(made: Path, tmp_path: Path) -> None:
    """A training that went astray is told by its products, and nothing is written."""
    whole, about = parts(made)
    vectors = whole.item_vectors.copy()
    vectors[3, 1] = np.nan
    astray = dataclasses.replace(whole, item_vectors=vectors)
    with pytest.raises(DataRefused, match=r"vectors of 1 products \('i2'.*are NaN or too large"):
        export(dataset.load(made / "data"), astray, about, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_a_full_disk_in_the_middle_of_an_export(made: Path, bundle: Path) -> None:
    """Where a file may not grow, the sentence says so and the former bundle stays as it was."""
    before = sums(bundle)
    whole, about = parts(made)
    data = dataset.load(made / "data")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_096, hard))
    try:
        with pytest.raises(BundleNotWritten, match=r"/bundle is as it was: .*File too large"):
            export(data, whole, about, bundle)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert sums(bundle) == before
    assert [path.name for path in bundle.parent.iterdir()] == ["bundle"]
    export(data, whole, about, bundle)
    assert sums(bundle) == before


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
    about = by_time(rounds()).about
    with pytest.raises(DataRefused, match="make it with 'python -m model_export train'"):
        checkpoint.load(tmp_path, about)
    (tmp_path / "checkpoint.json").write_text("{}")
    with pytest.raises(DataRefused, match="is no checkpoint of this release"):
        checkpoint.load(tmp_path, about)


def parts(made: Path) -> tuple[ModelParts, Checkpoint]:
    """What there is to export; the graph, which takes seconds to make, is that of the bundle."""
    data = dataset.load(made / "data")
    model, about = checkpoint.load(made / "checkpoint", data.about)
    graph = (made / "bundle/encoder.onnx").read_bytes
    return dataclasses.replace(parts_of(model, data), graph=graph), about


def sums(folder: Path) -> dict[str, str]:
    return {path.name: sha256_of(path) for path in sorted(folder.iterdir())}


def rewrite(folder: Path, name: str, content: bytes) -> None:
    """Replace a file and put its new sum into the manifest."""
    (folder / name).write_bytes(content)
    manifest = msgspec.json.decode((folder / "manifest.json").read_bytes(), type=Manifest)
    files: dict[str, Any] = {**manifest.files, name: sha256_of(folder / name)}
    changed = msgspec.structs.replace(manifest, files=files)
    (folder / "manifest.json").write_bytes(msgspec.json.encode(changed))
