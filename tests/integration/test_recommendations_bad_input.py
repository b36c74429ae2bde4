"""Whatever is asked of a server, it is answered, or refused with a reason; never INTERNAL."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import grpc
import pytest
from attune.recommendations.v1 import recommendation_service_pb2 as pb
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from tests.recommendation_shop import POPULAR_FIRST, VECTORS, Running, Shop, bought, refusal

INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND

Call = Callable[..., object]


@pytest.fixture(scope="module")
def shop(running: Running) -> Iterator[Shop]:
    """A shop with products, and one shopper who is known; no test changes it."""
    shop = running.new_shop()
    shop.list_products(*VECTORS)
    shop.know("u:ana", bought("mug"))
    yield shop
    shop.channel.close()


def methods(shop: Shop) -> dict[str, Call]:
    """Each method, asked about what there is."""
    return {
        "Recommend": shop.recommend,
        "SimilarProducts": lambda **fields: shop.similar("mug", **fields),
        "RankProducts": lambda **fields: shop.rank("mug", "cup", **fields),
        "RecommendBatch": lambda **fields: shop.batch("ana", "bo", **fields),
    }


def violations(call: Callable[[], object]) -> list[tuple[str, str]]:
    """Fields and descriptions of a call that is refused as INVALID_ARGUMENT."""
    with pytest.raises(grpc.RpcError) as raised:
        call()
    assert raised.value.code() is INVALID
    status = rpc_status.from_call(raised.value)  # type: ignore[arg-type]  # it is a Call as well
    assert status is not None
    bad = error_details_pb2.BadRequest()
    assert any(detail.Unpack(bad) for detail in status.details)
    return [(each.field, each.description) for each in bad.field_violations]


@pytest.mark.parametrize(
    "method", ["Recommend", "SimilarProducts", "RankProducts", "RecommendBatch"]
)
def test_an_unknown_scenario_is_not_found(shop: Shop, method: str) -> None:
    """With a reason of its own, whichever method is called."""
    code, reason, _ = refusal(lambda: methods(shop)[method](scenario="black-friday"))
    assert (code, reason) == (NOT_FOUND, "SCENARIO_UNKNOWN")
    code, _, fields = refusal(lambda: methods(shop)[method](scenario="Black Friday"))
    assert (code, fields) == (INVALID, ["scenario"])


def test_an_unknown_product_is_not_found_where_a_list_starts_from_it(shop: Shop) -> None:
    """Elsewhere it is passed over, and the list says what it was made of."""
    code, reason, _ = refusal(lambda: shop.similar("unheard-of"))
    assert (code, reason) == (NOT_FOUND, "PRODUCT_UNKNOWN")
    answer = shop.recommend(scenario="product-page", anchor_product_ids=["unheard-of"])
    assert [each.product_id for each in answer.products] == POPULAR_FIRST
    assert answer.fallback_cause == pb.FALLBACK_CAUSE_NOT_ASKED
    assert len(shop.shown(exclude_product_ids=["unheard-of"])) == len(VECTORS)
    assert [each.product_id for each in shop.rank("unheard-of", "cup").products] == ["cup"]


def test_an_unknown_shopper_is_answered(shop: Shop) -> None:
    """By every method that names one."""
    answer = shop.recommend("nobody")
    assert answer.fallback_cause == pb.FALLBACK_CAUSE_UNKNOWN_SHOPPER
    ranked = shop.rank("cup", "mug", user_id="nobody")
    assert [each.product_id for each in ranked.products] == ["cup", "mug"]
    assert (ranked.source, ranked.fallback_cause) == (
        pb.SOURCE_GIVEN,
        pb.FALLBACK_CAUSE_UNKNOWN_SHOPPER,
    )
    one, other = shop.batch("ana", "nobody").answers
    assert (one.source, other.source) == (pb.SOURCE_PERSONAL, pb.SOURCE_POPULAR)
    assert shop.similar("mug", user_id="nobody").source == pb.SOURCE_SIMILAR


@pytest.mark.parametrize(
    "method", ["Recommend", "SimilarProducts", "RankProducts", "RecommendBatch"]
)
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("product.price <", "line 1, column 16: something is missing"),
        ("product.price <\n  'ten'", "line 1, column 15: '<' does not take (double, string)"),
        ("true &&\n product.pirce < 1.0", "line 2, column 9: there is no 'product.pirce' here"),
        ("product.price", "line 1, column 1: an expression must be true or false"),
        (" || ".join(["product.price == 1.0"] * 80), "line 1, column 1194: an expression has at"),
        (f"{'(' * 60}true{')' * 60}", "line 1, column 1: this is nested too deeply"),
    ],
)
def test_a_filter_that_cannot_be_read_is_told_by_its_place(
    shop: Shop, method: str, text: str, said: str
) -> None:
    """The field, the line and the column, and what is wrong there."""
    ((field, description),) = violations(lambda: methods(shop)[method](filter=text))
    assert field == "filter"
    assert description.startswith(said)


def test_a_filter_of_ten_thousand_conditions_is_refused_unread(shop: Shop) -> None:
    """By its length alone."""
    text = " || ".join(f"product.price == {number}.0" for number in range(10_000))
    ((field, description),) = violations(lambda: shop.recommend(filter=text))
    assert field == "filter"
    assert "2000 characters" in description


@pytest.mark.parametrize("limit", [-1, 0, 101, 2**31 - 1])
def test_a_limit_beyond_its_bounds_is_refused(shop: Shop, limit: int) -> None:
    """1 to 100, also in a batch and for similar products."""
    for method in ("Recommend", "SimilarProducts", "RecommendBatch"):
        found = violations(partial(methods(shop)[method], limit=limit))
        assert [field for field, _ in found] == ["limit"]


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda shop: shop.rank(*(f"p{n}" for n in range(1_001))), "product_ids"),
        (lambda shop: shop.rank(), "product_ids"),
        (lambda shop: shop.rank("a", "x" * 129), "product_ids[1]"),
        (lambda shop: shop.recommend(exclude_product_ids=["p"] * 1_001), "exclude_product_ids"),
        (lambda shop: shop.recommend(anchor_product_ids=["p"] * 101), "anchor_product_ids"),
        (lambda shop: shop.batch(), "shoppers"),
        (lambda shop: shop.batch(*["ana"] * 101), "shoppers"),
        (lambda shop: shop.batch("ana", ""), "shoppers[1]"),
        (lambda shop: shop.similar(""), "product_id"),
        (
            lambda shop: shop.recommend(context=pb.Context(recent_product_ids=["p"] * 51)),
            "context.recent_product_ids",
        ),
    ],
)
def test_too_many_too_few_or_too_long(shop: Shop, call: Callable[[Shop], Any], field: str) -> None:
    """Each bound of the contract is told by its field."""
    assert [name for name, _ in violations(lambda: call(shop))] == [field]


def test_an_empty_catalogue_is_an_empty_answer(running: Running) -> None:
    """No method fails for want of products; only what starts from one says that it is unknown."""
    empty = running.new_shop()
    empty.know("u:ana", bought("mug"))
    answer = empty.recommend()
    assert not answer.products
    assert answer.fallback_cause == pb.FALLBACK_CAUSE_NOTHING_LEFT
    ranked = empty.rank("mug", "cup")
    assert not ranked.products
    assert ranked.fallback_cause == pb.FALLBACK_CAUSE_NOTHING_LEFT
    code, reason, _ = refusal(lambda: empty.similar("mug"))
    assert (code, reason) == (NOT_FOUND, "PRODUCT_UNKNOWN")
    empty.channel.close()


def test_a_filter_that_nothing_passes_leaves_an_empty_list(shop: Shop) -> None:
    """Which says so, whatever the shopper is known for."""
    nothing = 'product.id == "none of them"'
    for user in ("ana", "nobody"):
        answer = shop.recommend(user, filter=nothing)
        assert not answer.products
        assert answer.fallback_cause != pb.FALLBACK_CAUSE_UNSPECIFIED
    assert not shop.similar("mug", filter=nothing).products
    assert not shop.rank("mug", filter=nothing).products


ODD = [
    "\x00",
    "\x7f\u2028",
    "' || true",
    "\\",
    "{}{0}%s",
    "🛒" * 30,
    "x" * 128,
    "../../etc",
    "u:ana",
    "é\u0301",
    "mug",
    "cup",
]
FILTERS = ["", "true", "false", "product.price < 1.0", "shopper.known", "product.id == '\x00'"]


def test_odd_requests_are_never_an_internal_error(shop: Shop) -> None:
    """Ids, words and texts of all kinds: answered, or refused for a reason of the caller's."""
    source, codes = random.Random(11), set()
    for _ in range(150):
        try:
            odd_call(shop, source)
            codes.add(grpc.StatusCode.OK)
        except grpc.RpcError as error:
            codes.add(error.code())
    assert codes == {grpc.StatusCode.OK, INVALID, NOT_FOUND}


def odd_call(shop: Shop, source: random.Random) -> None:
    """One of the methods, asked about anything."""

    def some() -> list[str]:
        return source.choices(ODD, k=source.randrange(4))

    context = pb.Context(
        language=source.choice(["", "zh", "xx-\x00", "en"]),
        category_path=some(),
        recent_product_ids=some(),
        device=source.choice(ODD)[:32],
    )
    told: dict[str, Any] = {"filter": source.choice(FILTERS), "context": context}
    match source.randrange(4):
        case 0:
            told["scenario"] = source.choice(["", "cart", "buy-again", "product-page", "e-mail"])
            anchors, excluded = some(), some()
            shop.recommend(
                source.choice(ODD),
                anchor_product_ids=anchors,
                exclude_product_ids=excluded,
                **told,
            )
        case 1:
            shop.similar(source.choice(ODD), **told)
        case 2:
            shop.rank(*some(), user_id=source.choice(ODD), **told)
        case _:
            shop.batch(*source.choices(ODD, k=3), **told)
