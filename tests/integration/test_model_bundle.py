"""What an export can put into a bundle: codes, a blend, a content tower; or nothing at all."""

from __future__ import annotations

import dataclasses
import resource
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from model_export import prepared_folder
from model_export.__main__ import main
from model_export.dataset import DAY, HELD_OUT, Content, Prepared, vocabulary_index
from model_export.errors import BundleNotWritten, DataRefused
from model_export.evaluation.evaluate import Evaluation
from model_export.exporting import graph
from model_export.exporting.blending import blend_weights
from model_export.exporting.export import export
from model_export.exporting.parts import parts_of
from model_export.exporting.verify import verify
from model_export.modelling import item_table
from model_export.modelling.model import Model
from model_export.training import checkpoint
from model_export.training.neighbours import learn_neighbours
from services.shared.bundle import load_bundle
from services.shared.bundle_settings import Blend
from services.shared.content_input import FeatureVocabulary, ProductContent, feature_names
from services.shared.content_tower import ContentSettings, ContentTower
from services.shared.encoder import Encoder
from services.shared.model_input import SEARCH, TARGET_NAMES, Interaction, encode
from services.shared.product_codes import CodedVectors
from services.shared.repeat import RepeatTable
from services.shared.scores import best
from tests.export_parts import Silent, parts, sums, trained
from tests.model_parts import QUICK, TRAINING, by_time, figures, rounds


def test_a_large_catalogue_becomes_codes(made: Path, tmp_path: Path) -> None:
    """Above the number of products that is told: learned, proven, evaluated, the same twice."""
    data = prepared_folder.load(made / "data")
    about = parts(made)[1]
    told = msgspec.structs.replace(about.settings, codes_above=7)
    watched = Silent()
    (model, coded), (again, _) = trained(data, told, watched), trained(data, told)
    assert watched.stages[-1] == "product codes: nearest sums"
    assert same_parameters(model, again)
    assert coded.as_codes is not None
    assert coded.as_codes.epoch > len(coded.curve)
    checkpoint.save(model, coded, tmp_path / "checkpoint")
    loaded, told_of = checkpoint.load(tmp_path / "checkpoint", data.about)
    assert same_parameters(model, loaded)
    export(data, parts_of(loaded, data), told_of, tmp_path / "bundle")
    bundle = verify(tmp_path / "bundle")
    assert isinstance(bundle.item_vectors, CodedVectors)
    assert "items.npy" not in bundle.manifest.files
    found = bundle.item_vectors.rows(np.arange(9))
    np.testing.assert_allclose(found, model.items.vectors().numpy(), atol=1e-3)
    assert bundle.manifest.metrics["ndcg_at_10_all"] > 0.9
    assert bundle.manifest.created_from["best_epoch_as_codes"] == coded.as_codes.epoch
    card = (tmp_path / "bundle/card.md").read_text()
    assert f"an NDCG@10 of {coded.validation_ndcg:.4f}." in card
    assert f"an NDCG@10 of {coded.as_codes.validation_ndcg:.4f}: this model is of it." in card
    whole = trained(data, msgspec.structs.replace(told, codes_above=8))[1]
    assert (whole.architecture.codes, whole.as_codes) == (0, None)


def same_parameters(one: Model, other: Model) -> bool:
    """To the last bit."""
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)


def test_the_other_architecture_goes_all_the_way(made: Path, tmp_path: Path) -> None:
    """An encoder-decoder is trained, exported and proven by the same commands, and foretells."""
    told = f"{TRAINING} --architecture encoder-decoder"
    assert main(f"train {made}/data --to {tmp_path}/checkpoint {told}".split()) == 0
    source = f"export {made}/data --checkpoint {tmp_path}/checkpoint --no-blend"
    assert main(f"{source} --to {tmp_path}/bundle".split()) == 0
    verify(tmp_path / "bundle")
    report = msgspec.json.decode((tmp_path / "bundle/report.json").read_bytes(), type=Evaluation)
    assert figures(report, "model") > 0.9 > 0.7 > figures(report, "item-kNN")


def test_a_blend_is_evaluated_as_it_is_served(made: Path, tmp_path: Path) -> None:
    """Neighbours and a repeat table travel in the bundle, and its report is of the whole."""
    data = prepared_folder.load(made / "data")
    whole, about = parts(made)
    codes = np.searchsorted(data.ids.items, about.product_ids)
    index = vocabulary_index(data.ids, codes)[: len(data.ids.items)]
    blended = dataclasses.replace(
        whole,
        item_vectors=np.zeros_like(whole.item_vectors),
        neighbours=learn_neighbours([data], index, before=HELD_OUT),
        repeat=RepeatTable((), (), ((0.0,),)),
        blend=Blend(neighbours=1.0, repeat=0.5),
    )
    report = export(data, blended, about, tmp_path / "blend")
    rows = {(row.method, row.purchases): row for row in report.rows}
    assert rows["model", "all"].ndcg.mean > 0.1  # all that the vectors of zeros leave to it
    assert verify(tmp_path / "blend").repeat == blended.repeat


def test_export_learns_a_blend_unless_told_not_to(made: Path, tmp_path: Path) -> None:
    """A round has repeats, so a table; whoever saw the validation part may not choose on it."""
    assert load_bundle(made / "bundle").repeat is not None
    source = f"export {made}/data --checkpoint {made}/checkpoint --to {tmp_path}/alone --no-blend"
    assert main(source.split()) == 0
    assert load_bundle(tmp_path / "alone").repeat is None
    data = prepared_folder.load(made / "data")
    whole, about = parts(made)
    seen = msgspec.structs.replace(
        about, settings=msgspec.structs.replace(about.settings, refit=True)
    )
    with pytest.raises(DataRefused, match="--blend-of, or say --no-blend"):
        blend_weights(whole, data, seen)


def test_vectors_that_are_no_numbers(made: Path, tmp_path: Path) -> None:
    """A training that went astray is told by its products, and nothing is written."""
    whole, about = parts(made)
    vectors = whole.item_vectors.copy()
    vectors[3, 1] = np.nan
    astray = dataclasses.replace(whole, item_vectors=vectors)
    with pytest.raises(DataRefused, match=r"vectors of 1 products \('i2'.*are NaN or too large"):
        export(prepared_folder.load(made / "data"), astray, about, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_a_full_disk_in_the_middle_of_an_export(made: Path, bundle: Path) -> None:
    """Where a file may not grow, the sentence says so and the former bundle stays as it was."""
    whole, about = parts(made)
    data = prepared_folder.load(made / "data")
    export(data, whole, about, bundle)
    before = sums(bundle)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_096, hard))
    try:
        with pytest.raises(BundleNotWritten, match=r"/bundle is as it was: .*File too large"):
            export(data, whole, about, bundle)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert sums(bundle) == before
    assert [path.name for path in bundle.parent.iterdir()] == ["bundle"]
    export(data, whole, about, bundle)  # without a blend, so another bundle, and a whole one
    assert sums(bundle)["encoder.onnx"] == before["encoder.onnx"]
    assert load_bundle(bundle).neighbours is None


def told_by_searches() -> Prepared:
    """Shoppers who search for a product by its word an hour before they buy it.

    The product comes by chance, so that only who reads the search can foretell it.
    """
    random = np.random.default_rng(3)
    bought = by_time([(row[0], f"i{random.integers(8)}", row[2]) for row in rounds()])
    ids = dataclasses.replace(bought.ids, queries=[f"word {n}" for n in range(8)])
    columns = {
        "items": (bought.items + len(ids.items), bought.items),
        "at": (bought.at - DAY // 24, bought.at),
        "actions": (np.full_like(bought.actions, SEARCH), bought.actions),
        **{name: (getattr(bought, name),) * 2 for name in ("users", "parts", "sessions")},
    }
    both = {name: np.stack(pair, axis=1).reshape(-1) for name, pair in columns.items()}
    words = np.eye(8, dtype=np.float16)
    features = np.arange(1, 9, dtype=np.int32)[:, None] % 3
    content = Content(["category:a", "price:1"], features, words, words, "by hand", (10.0,))
    return Prepared(**both, ids=ids, source=bought.source, content=content)


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of a model that reads searches and has a content tower."""
    data = told_by_searches()
    settings = msgspec.structs.replace(QUICK, epochs=12, ema=0.9)
    model, about = trained(data, settings)
    target = tmp_path_factory.mktemp("reading") / "bundle"
    export(data, parts_of(model, data), about, target)
    return target


def test_a_model_that_reads_searches_foretells_by_them(reading: Path) -> None:
    """In the report, and from the words that a shopper typed just now."""
    bundle = verify(reading)
    assert bundle.settings.reads == (*TARGET_NAMES, "search")
    assert bundle.settings.text_encoder == "by hand"
    assert bundle.manifest.metrics["ndcg_at_10_all"] > 0.9
    assert bundle.content is not None
    tower = ContentTower(bundle.tower_path, bundle.content, bundle.settings.dimensions)
    for number in range(8):
        searched = tower.searched(np.eye(8, dtype=np.float32)[[number]])
        typed = encode([Interaction(0, "", SEARCH, "typed")], bundle.vocabulary, max_length=12)
        query = Encoder(bundle).encode(typed, searched=searched)
        (place,) = best(bundle.item_vectors.scores(query)[1:], 1)
        assert bundle.vocabulary.product_id(int(place) + 1) == f"i{number}"


def test_a_product_that_nobody_bought_has_a_place_by_its_content(reading: Path) -> None:
    """The exported tower gives what the network gives; its product is scored with the others."""
    bundle = verify(reading)
    placed = bundle.golden.placed
    assert bundle.content is not None
    assert placed is not None
    tower = ContentTower(bundle.tower_path, bundle.content, bundle.settings.dimensions)
    found = tower.vectors(placed.features, placed.text)
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-3)
    more = bundle.item_vectors.appended(found[:1])
    scores = more.scores(found[0])
    assert scores[-1] == scores.max()
    known = FeatureVocabulary(bundle.content.names)
    dear = feature_names(ProductContent(price=12.0), bundle.content.price_bounds)
    assert known.padded(dear, placed.features.shape[1]).tolist() == placed.features[1].tolist()


def test_a_tower_that_reads_no_text_takes_none(tmp_path: Path) -> None:
    """Where nothing but categories was known, its graph has one input."""
    shape = QUICK.shape(products=3, features=4, text=0)
    network = item_table.ContentTower(shape)
    (tmp_path / "tower.onnx").write_bytes(graph.tower_bytes(network, most_features=2))
    settings = ContentSettings(names=tuple("abcd"), most_features=2, text_dimensions=0)
    tower = ContentTower(tmp_path / "tower.onnx", settings, shape.dimensions)
    features = np.array([[1, 0], [4, 2], [0, 0]])
    found = tower.vectors(features, np.zeros((3, 0), np.float32))
    with torch.no_grad():
        expected = item_table.unit(network.features(torch.from_numpy(features)).sum(1))
    assert np.abs(found - expected.numpy()).max() < 1e-6
    assert not found[2].any()
