"""Words that read the same are the same, in English and in Chinese."""

from __future__ import annotations

import pytest

from services.shared.search_text import normalised, tokens


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Blue MUG, 0.3 l", ["blue", "mug", "0.3", "l"]),
        ("ＢＬＵＥ　ｍｕｇ", ["blue", "mug"]),  # noqa: RUF001 - full-width letters
        ("STRASSE straße", ["strasse", "strasse"]),
        ("Café", ["café"]),
        ("蓝色杯子", ["蓝", "色", "杯", "子"]),
        ("iPhone手机壳", ["iphone", "手", "机", "壳"]),
        ("usb_c--cable", ["usb", "c", "cable"]),
        ("… !?", []),
    ],
)
def test_words_of_a_text(text: str, words: list[str]) -> None:
    """Compatibility forms, case folded; characters of Chinese one by one; no marks."""
    assert tokens(text) == words


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("  Blue \t MUG! ", "blue mug"),
        ("蓝色 杯子", "蓝色杯子"),
        ("iPhone 手机 壳", "iphone 手机壳"),
        ("!", ""),
    ],
)
def test_a_text_in_its_normal_form(text: str, same: str) -> None:
    """However it was typed; and a normal form is its own."""
    assert normalised(text) == same
    assert normalised(same) == same
