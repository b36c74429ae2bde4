"""What filters are told of a shopper, from the profile and the catalogue beside it."""

from __future__ import annotations

from math import inf

from services.recommendations.domain.catalog import Listing
from services.recommendations.domain.shopper import LATELY, STRANGER, Shopper, shopper_of
from services.shared.profile import EMPTY, Cancel, Profile, Purchase, Touch
from tests.recommendation_parts import catalog_of

DAY = 86_400_000_000
SHOP = {
    "mug": Listing("Mug", ("home", "mugs"), "m", "Acme"),
    "cup": Listing("Cup", ("home", "mugs"), "m", "Zed"),
    "tea": Listing("Tea", ("food",), "m", "Acme"),
    "box": Listing("Box", (), "m"),
}


def line(product_id: str, at: int, price: str = "", currency: str = "EUR") -> Purchase:
    """One piece bought; without a price where none is told."""
    millionths = round(float(price or 0) * 1_000_000)
    return Purchase(at, at, 0, product_id, f"o{at}", 1, millionths, currency if price else "")


def view(product_id: str, at: int) -> Touch:
    """A look."""
    return Touch(at, at, 0, product_id)


def seen(profile: Profile, *, now: int = 2 * DAY) -> Shopper:
    """The shopper of a profile in a small shop."""
    return shopper_of(profile, catalog_of(SHOP), now=now, signed_in=False)


def test_nothing_is_known_of_a_stranger() -> None:
    """Numbers are 0, texts and lists empty, and the last visit is for ever ago."""
    assert seen(EMPTY) == STRANGER
    assert STRANGER.days_since_seen == inf


def test_the_callers_own_words_are_passed_on() -> None:
    """Also about someone of whom no profile is known."""
    told = shopper_of(
        EMPTY, catalog_of({}), now=0, signed_in=True, language="de", country="AT", device="phone"
    )
    assert told == Shopper(signed_in=True, language="de", country="AT", device="phone")


def test_brands_and_categories_are_those_met_lately() -> None:
    """Newest first, each once, of what was bought or viewed and is listed; empty ones are none."""
    profile = Profile(
        last_seen=DAY,
        views=(view("cup", 2), view("gone", 5), view("box", 6), view("tea", 7)),
        purchases=(line("mug", 4),),
    )
    shopper = seen(profile)
    assert shopper.brands == ("Acme", "Zed")
    assert shopper.categories == ("food", "home > mugs")


def test_at_most_twenty_brands_are_told() -> None:
    """The newest."""
    shop = {f"p{number}": Listing("Mug", (), "m", f"b{number}") for number in range(30)}
    views = tuple(view(f"p{number}", number) for number in range(30))
    shopper = shopper_of(Profile(views=views), catalog_of(shop), now=DAY, signed_in=False)
    assert shopper.brands == tuple(f"b{number}" for number in range(29, 29 - LATELY, -1))


def test_what_was_taken_back_was_not_bought() -> None:
    """It counts in no number and no list."""
    profile = Profile(
        last_seen=DAY,
        purchases=(line("mug", 1, "9.00"), line("cup", 2, "5.00")),
        cancels=(Cancel(3, 3, 0, "", "o2", 0),),
    )
    shopper = seen(profile)
    assert (shopper.known, shopper.purchases, shopper.brands) == (True, 1, ("Acme",))
    assert shopper.median_price == 9.0


def test_the_median_price_is_of_the_currency_paid_last() -> None:
    """Lines without a price, and those of another currency, are left out."""
    lines = (
        line("mug", 1, "100", "USD"),
        line("mug", 2, "4.00"),
        line("cup", 3),
        line("tea", 4, "2.50"),
    )
    assert seen(Profile(purchases=lines)).median_price == 3.25
    assert seen(Profile(purchases=(line("cup", 3),))).median_price == 0.0


def test_a_visit_is_days_ago() -> None:
    """As a fraction; one that a phone's fast clock dates ahead was now."""
    assert seen(Profile(last_seen=DAY // 2)).days_since_seen == 1.5
    assert seen(Profile(last_seen=3 * DAY)).days_since_seen == 0.0
