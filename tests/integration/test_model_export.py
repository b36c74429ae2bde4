"""From interactions to a bundle, with real torch, ONNX and ONNX Runtime."""

from __future__ import annotations

import json
import platform
import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from model_export import prepared_folder
from model_export.__main__ import main
from model_export.errors import DataRefused, ParityBroken, ReportWrong
from model_export.evaluation.evaluate import Evaluation
from model_export.exporting.export import PARITY, check_parity, export
from model_export.exporting.verify import verify, verify_report
from model_export.training import checkpoint
from services.shared.bundle import Manifest, load_bundle
from services.shared.bundle_files import sha256_of
from services.shared.encoder import Encoder
from services.shared.errors import BundleRefused
from services.shared.model_input import PURCHASE, Interaction, encode
from services.shared.scores import best
from tests.export_parts import Silent, parts, sums, trained
from tests.model_parts import QUICK, by_time, figures, leave_one_out, rounds


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

    model, _ = checkpoint.load(made / "checkpoint", prepared_folder.load_about(made / "data"))
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
    verify_report(whole, prepared_folder.load(made / "data"))


def test_a_report_that_boasts(made: Path, bundle: Path) -> None:
    """A figure that evaluating again does not give is named, with both values."""
    report = json.loads((bundle / "report.json").read_bytes())
    report["rows"][0]["ndcg"][0] += 0.01
    rewrite(bundle, "report.json", json.dumps(report).encode())
    with pytest.raises(ReportWrong, match=r"report.json says ndcg .* of model \(all purchases\)"):
        verify_report(verify(bundle), prepared_folder.load(made / "data"))


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
    data = prepared_folder.load(made / "data")
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
    data = prepared_folder.load(made / "data")
    with pytest.raises(ParityBroken):
        export(data, *parts(made), tmp_path / "bundle")
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
    assert sums(tmp_path / "bundle") == before


def test_the_manifest_says_how_to_make_the_model_again(made: Path) -> None:
    """Every setting of the training is in it."""
    origin = load_bundle(made / "bundle").manifest.created_from
    for field in msgspec.structs.fields(QUICK):
        assert f"train.{field.name}" in origin
    assert origin["train.epochs"] == 12
    assert origin["made_with.python"] == platform.python_version()
    assert {"made_with.torch", "made_with.numpy", "made_with.scipy"} <= origin.keys()
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


def rewrite(folder: Path, name: str, content: bytes) -> None:
    """Replace a file and put its new sum into the manifest."""
    (folder / name).write_bytes(content)
    manifest = msgspec.json.decode((folder / "manifest.json").read_bytes(), type=Manifest)
    files: dict[str, Any] = {**manifest.files, name: sha256_of(folder / name)}
    changed = msgspec.structs.replace(manifest, files=files)
    (folder / "manifest.json").write_bytes(msgspec.json.encode(changed))
