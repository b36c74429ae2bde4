"""The catalogue's columns follow products and offers, in any order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.recommendations.domain.catalog import Catalog, Listing, Price, Terms
from services.recommendations.domain.catalogs import Catalogs
from services.recommendations.domain.words import words_of
from services.shared.model_input import Vocabulary
from tests.recommendation_parts import catalog_of, listing

GONE = Terms(price=None, available=False)
SALE = Terms(price=Price("USD", 3, 990_000_000), available=True)


def shown(catalog: Catalog) -> set[str]:
    """The products that may be shown."""
    return {catalog.product_id(int(row)) for row in catalog.available.nonzero()[0]}


def test_a_product_without_an_offer_is_available() -> None:
    """A listed product counts as available, at no known price, until an offer says more."""
    catalog = catalog_of({"a": listing("Mug")})
    row = catalog.row("a")
    assert row is not None
    assert shown(catalog) == {"a"}
    assert catalog.price(row) is None
    assert catalog.listing(row).title == "Mug"


def test_a_sold_out_product_is_hidden_and_comes_back() -> None:
    """An offer hides a product, another one shows it again with its price."""
    catalog = catalog_of({"a": listing("Mug")}, {"new": listing("Lamp")})
    for product_id in ("a", "new"):
        catalog.put_offer(product_id, GONE)
        assert product_id not in shown(catalog)
        catalog.put_offer(product_id, SALE)
        assert product_id in shown(catalog)
        assert catalog.price(catalog.row(product_id) or 0) == SALE.price
        catalog.remove_offer(product_id)
        assert catalog.price(catalog.row(product_id) or 0) is None


def test_an_offer_that_comes_before_its_product_is_kept() -> None:
    """The two topics have no common order, so an offer waits for its product."""
    catalog = catalog_of({"a": listing("Mug")})
    catalog.put_offer("late", GONE)
    assert catalog.row("late") is None
    catalog.put_product("late", listing("Lamp"))
    assert shown(catalog) == {"a"}


def test_a_removed_product_is_gone_from_columns_and_words() -> None:
    """Nothing finds a product that was removed; removing it again is no error."""
    catalog = catalog_of({"a": listing("Mug", "home")}, {"new": listing("Mug", "home")})
    for product_id in ("a", "new"):
        catalog.remove_product(product_id)
        catalog.remove_product(product_id)
        assert catalog.row(product_id) is None
    assert shown(catalog) == set()
    assert catalog.listed == 0
    assert not catalog.index.rows_of("mug").size
    with pytest.raises(LookupError):
        catalog.listing(1)


def test_a_changed_title_is_found_by_its_new_words_only() -> None:
    """The words of a product are those of its newest record."""
    catalog = catalog_of({"a": listing("Red mug")})
    catalog.put_product("a", listing("Blue mug"))
    assert not catalog.index.rows_of("red").size
    assert catalog.index.rows_of("blue").tolist() == [catalog.row("a")]
    assert catalog.index.rows_of("mug").tolist() == [catalog.row("a")]


def test_rows_of_removed_products_are_used_again() -> None:
    """Products that come and go do not make the columns grow for ever."""
    catalog = catalog_of({"a": listing("Mug")})
    for number in range(5_000):
        catalog.put_product(f"p{number}", listing("Lamp"))
        catalog.remove_product(f"p{number}")
        catalog.put_offer(f"q{number}", SALE)
        catalog.remove_offer(f"q{number}")
    assert catalog.rows <= catalog.vector_rows + 1


def test_what_no_product_says_any_more_takes_no_place() -> None:
    """Brands, categories and attributes that come and go for years leave nothing behind."""
    others = {
        f"n{number}": listing("Cup")._replace(attributes={"size": f"{number}", "batch": "old"})
        for number in range(50)
    }
    first = listing("Mug")._replace(attributes={"size": "L", "cut": "wide"})
    catalog = catalog_of({"a": first}, others)
    for number in range(3_000):
        told = {"batch": f"{number}", **dict.fromkeys(map(str, range(number % 5)), "x")}
        catalog.put_product(
            "a", Listing("Mug", (f"{number}",), f"m{number}", f"b{number}", attributes=told)
        )
        catalog.put_offer("a", Terms(Price(f"C{number}", 1, 0), available=True))
    products = catalog.products
    assert products.attributes[1] == told
    for product_id, other in others.items():
        assert catalog.listing(catalog.row(product_id) or 0) == other
    assert set(products.attributes.named("batch", catalog.rows).values) == {"", "old", "2999"}
    assert products.attributes.places <= 4_096
    for column in (products.brands, products.merchants, products.paths, catalog.offers.currencies):
        assert len(column.values) <= 4


@pytest.mark.parametrize(
    ("units", "nanos"), [(0, 0), (3, 990_000_000), (10**9, 999_999_999), (0, 1)]
)
def test_a_price_is_kept_to_the_billionth(units: int, nanos: int) -> None:
    """An answer says what the shop said; a filter compares the nearest double."""
    catalog = catalog_of({"a": listing("Mug")})
    catalog.put_offer("a", Terms(Price("EUR", units, nanos), available=True))
    assert catalog.price(1) == Price("EUR", units, nanos)
    assert catalog.offers.prices[1] == float(f"{units}.{nanos:09}")


def test_columns_grow_beyond_the_vocabulary() -> None:
    """A shop may have any number of products that the model has not learned."""
    new = {f"p{number}": listing(f"Lamp {number}", "light") for number in range(3_000)}
    catalog = catalog_of({"a": listing("Mug")}, new)
    assert catalog.listed == 3_001
    assert shown(catalog) == {"a", *new}
    assert catalog.title_or_id("p2999") == "Lamp 2999"
    assert catalog.title_or_id("nothing") == "nothing"


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["put", "remove", "sell", "stop", "forget"]),
            st.sampled_from(["a", "b", "new", "newer"]),
            st.sampled_from(["red mug", "blue mug", "red lamp"]),
        ),
        max_size=60,
    )
)
def test_the_catalogue_is_what_a_dict_would_be(steps: list[tuple[str, str, str]]) -> None:
    """After any changes, columns and words equal those of two plain dicts."""
    catalog = Catalog(Vocabulary(["a", "b"]))
    products: dict[str, Listing] = {}
    offers: dict[str, Terms] = {}
    for step, product_id, title in steps:
        if step == "put":
            told = {title[-3:]: title, "size": title[:1]}
            products[product_id] = listing(title, title[:3])._replace(
                brand=title[-4:], attributes=told if "mug" in title else {}, listed_at=len(steps)
            )
            catalog.put_product(product_id, products[product_id])
        elif step == "remove":
            products.pop(product_id, None)
            catalog.remove_product(product_id)
        elif step == "forget":
            offers.pop(product_id, None)
            catalog.remove_offer(product_id)
        else:
            offers[product_id] = SALE if step == "sell" else GONE
            catalog.put_offer(product_id, offers[product_id])
    assert shown(catalog) == {p for p in products if offers.get(p, SALE).available}
    assert catalog.listed == len(products)
    names = ["a", "b", "new", "newer", "never"]
    assert catalog.lacks(names) == sum(name not in products for name in names)
    for word in ("red", "blue", "mug", "lamp"):
        found = [catalog.product_id(row) for row in catalog.index.rows_of(word).tolist()]
        assert sorted(found) == sorted(p for p in products if word in words_of(products[p].title))
    for product_id, each in products.items():
        row = catalog.row(product_id) or 0
        assert catalog.listing(row) == each
        assert catalog.price(row) == offers.get(product_id, GONE).price


def test_shops_do_not_see_each_other() -> None:
    """A shop that sent nothing has an empty catalogue, whatever others have."""
    catalogs = Catalogs(Vocabulary(["a"]))
    catalogs.for_feeding("one").put_product("a", listing("Mug"))
    assert catalogs.of("one").row("a") == 1
    assert catalogs.of("two").row("a") is None
    assert catalogs.shops == ("one",)
    assert catalogs.listed == 1


def test_products_that_are_not_listed_are_counted() -> None:
    """Learned or new, each as often as it is named; what was taken out is not listed any more."""
    catalog = catalog_of({"a": listing("A"), "b": listing("B")}, {"new": listing("New")})
    catalog.remove_product("b")
    assert catalog.lacks(["a", "b", "new", "unheard-of", "b"]) == 3
    assert catalog.lacks([]) == 0
