"""The content tower: a vector for a product that nobody bought, and for the words of a search."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from services.shared.bundle import Bundle, load_bundle
from services.shared.content_tower import ContentTower
from services.shared.encoder import Encoder, check_golden
from services.shared.errors import BundleRefused
from services.shared.model_input import SEARCH, VIEW, Interaction, encode
from services.shared.scores import best
from tests.tiny_bundle import TEXT_ENCODER, edit_golden, make_bundle, seal, write_json

VECTORS = {"mug": (1.0, 0.0), "cup": (1.0, 0.25), "lamp": (0.0, 1.0)}
NOTHING = np.zeros((1, 2), np.float32)


def tower_of(bundle: Bundle) -> ContentTower:
    """The tower of a bundle that has one."""
    assert bundle.content is not None
    return ContentTower(bundle.tower_path, bundle.content, bundle.settings.dimensions)


def proven(folder: Path) -> Bundle:
    """The bundle, once its graphs are proven."""
    bundle = load_bundle(folder)
    check_golden(bundle, Encoder(bundle))
    return bundle


@pytest.mark.parametrize("coded", [False, True])
def test_a_product_of_a_minute_ago_is_found_by_its_content(tmp_path: Path, coded: bool) -> None:
    """Placed by the tower behind the others, it is scored with them, in a table and in codes."""
    bundle = proven(make_bundle(tmp_path / "bundle", VECTORS, coded=coded, tower=True))
    vector = tower_of(bundle).vectors(np.array([[2, 0]]), NOTHING)
    assert vector.tolist() == [[0.0, 1.0]]
    more = bundle.item_vectors.appended(vector)
    assert more.size == bundle.item_vectors.size + 1
    scores = more.scores(np.array([0.5, 1.0], np.float32))
    assert best(scores[1:], 2).tolist() == [2, 3]
    assert scores[4] == scores[3]


def test_a_search_is_read_where_its_words_have_a_vector(tmp_path: Path) -> None:
    """It stands in the history like a product, with the vector that the tower gives its words."""
    folder = make_bundle(
        tmp_path / "bundle",
        VECTORS,
        tower=True,
        reads=["search", "view"],
        text_encoder=TEXT_ENCODER,
    )
    bundle = proven(folder)
    seen = [Interaction(1, "mug", VIEW), Interaction(2, "", SEARCH, "a lamp")]
    searched = tower_of(bundle).searched(np.array([[0.0, 3.0]], np.float32))
    model_input = encode(seen, bundle.vocabulary, max_length=bundle.settings.max_length)
    query = Encoder(bundle).encode(model_input, searched=searched)
    assert query.tolist() == [1.0, 3.0]


def test_no_products_have_no_vectors(tmp_path: Path) -> None:
    """Asking for none is no error."""
    bundle = load_bundle(make_bundle(tmp_path / "bundle", VECTORS, tower=True))
    assert tower_of(bundle).searched(np.zeros((0, 2), np.float32)).shape == (0, 2)


def edit_content(**changed: object) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        content = msgspec.json.decode((folder / "content.json").read_bytes())
        write_json(folder / "content.json", {**content, **changed})

    return edit


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda folder: (folder / "content.json").unlink(), "wrong about content.json"),
        (lambda folder: (folder / "tower.onnx").unlink(), "wrong about content.json"),
        (edit_content(most_features=3), r"features is int64 \(3, 2\), expected int64 \(3, 3\)"),
        (edit_content(text_dimensions=3), r"text is float32 \(3, 2\), expected float32 \(3, 3\)"),
        (edit_content(names=["a", "a"]), "a feature stands twice"),
        (edit_content(names=["a"]), "features has numbers that are not 0 to 1"),
        (edit_content(price_bounds=[1.0, 1.0]), "price_bounds must rise"),
        (edit_content(names=["a", "b", "price:1"]), "price:1 is beyond the 0 price_bounds"),
        (edit_golden(vectors=np.zeros((3, 2), np.float32)), "tower.onnx: golden input 0 differs"),
        (lambda folder: (folder / "tower.onnx").write_bytes(b"x"), "ONNX Runtime cannot load it"),
    ],
)
def test_what_is_wrong_with_a_tower(
    tmp_path: Path, edit: Callable[[Path], None], says: str
) -> None:
    """Graph, settings and golden outputs belong together."""
    folder = make_bundle(tmp_path / "bundle", VECTORS, tower=True)
    edit(folder)
    seal(folder)
    with pytest.raises(BundleRefused, match=says):
        proven(folder)


def test_a_vector_that_is_no_number_is_refused(tmp_path: Path) -> None:
    """What comes in as NaN does not go on into scores."""
    bundle = load_bundle(make_bundle(tmp_path / "bundle", VECTORS, tower=True))
    with pytest.raises(BundleRefused, match=r"tower\.onnx: the tower gives .* not finite"):
        tower_of(bundle).searched(np.full((1, 2), np.nan, np.float32))
    with pytest.raises(BundleRefused, match=r"tower\.onnx: the tower fails"):
        tower_of(bundle).vectors(np.array([[9, 9]]), NOTHING)
