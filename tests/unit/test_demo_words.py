"""Words of the demo: cashier's shorthand made readable."""

from __future__ import annotations

import pytest

from deploy.local.demo.words import category_path, readable, title


@pytest.mark.parametrize(
    ("shorthand", "words"),
    [
        ("FRZN BAGGED VEGETABLES- VALUE", "Frozen bagged vegetables - value"),
        ("CAN CATFD GOURMET/SUP PREM (GR", "Can cat food gourmet/super premium"),
        ("SFT DRNK 2 LITER BTL CARB INCL", "Soft drink 2 liter bottle carbonated"),
        ("BREAD:ITALIAN/FRENCH", "Bread:italian/french"),
        ("MEN'S CARE", "Men's care"),
    ],
)
def test_shorthand_becomes_words(shorthand: str, words: str) -> None:
    """Shortened words are spelt out, and what was cut off is dropped."""
    assert readable(shorthand) == words


def test_title_says_what_and_how_much() -> None:
    """A title names the product, its size and the shop's own brand."""
    assert (
        title("GROUND COFFEE", "COFFEE", "GROCERY", "11  OZ", "Private")
        == "Ground coffee, 11 oz, store brand"
    )


def test_title_of_one_word_names_its_category() -> None:
    """A product type that says little alone follows its category."""
    assert title("PREMIUM", "PASTA SAUCE", "GROCERY", None, "National") == "Pasta sauce: premium"


def test_title_without_type_and_category() -> None:
    """The department is better than nothing."""
    assert title(None, None, "FLORAL", None, "National") == "Floral"


def test_category_path_has_no_gaps_and_no_repeats() -> None:
    """Missing names and names said twice are left out."""
    assert category_path("GROCERY", None, "GROCERY") == ["Grocery"]
