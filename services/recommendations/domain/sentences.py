"""Reasons in words, in the languages that we speak."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from services.recommendations.domain.reasons import Kind, Reason

Language = str
ENGLISH: Final = "en"
CHINESE: Final = "zh"

_ITSELF: Final[Mapping[Language, str]] = {ENGLISH: "it", CHINESE: "它"}

_SENTENCES: Final[Mapping[Language, Mapping[Kind, str]]] = {
    ENGLISH: {
        Kind.BOUGHT_BEFORE: "You bought it before",
        Kind.BOUGHT: "Because you bought {}",
        Kind.IN_CART: "Because you put {} in your cart",
        Kind.VIEWED: "Because you looked at {}",
        Kind.CLICKED: "Because you chose {}",
        Kind.SEARCHED: "Because you searched for “{}”",
        Kind.SIMILAR: "Like {}",
        Kind.TRENDING: "Many look at it or buy it just now",
        Kind.POPULAR: "Bought by many",
        Kind.LISTED: "From the shop's catalogue",
        Kind.PINNED: "Chosen by the shop",
        Kind.BOUGHT_TOGETHER: "Bought together with {}",
        Kind.BUY_AGAIN: "It may be time to buy it again",
    },
    CHINESE: {
        Kind.BOUGHT_BEFORE: "您以前买过",
        Kind.BOUGHT: "因为您买过{}",
        Kind.IN_CART: "因为您把{}加入了购物车",
        Kind.VIEWED: "因为您看过{}",
        Kind.CLICKED: "因为您选过{}",
        Kind.SEARCHED: "因为您搜索过“{}”",
        Kind.SIMILAR: "与{}相似",
        Kind.TRENDING: "眼下很多人在看或在买",
        Kind.POPULAR: "很多人买过",
        Kind.LISTED: "本店商品",
        Kind.PINNED: "店铺精选",
        Kind.BOUGHT_TOGETHER: "常与{}一起购买",
        Kind.BUY_AGAIN: "也许该再买了",
    },
}


def language_of(told: str) -> Language:
    """Which of our languages a tag of BCP 47 asks for; English where none."""
    primary = told.replace("_", "-").partition("-")[0].lower()
    return primary if primary in _SENTENCES else ENGLISH


def sentence(
    reason: Reason, product_id: str, title_of: Callable[[str], str], language: Language
) -> str:
    """Why ``product_id`` is shown; other products are called by their titles."""
    pattern = _SENTENCES[language][reason.kind]
    if reason.query:
        return pattern.format(reason.query)
    if not reason.product_id:
        return pattern
    itself = reason.product_id == product_id
    return pattern.format(_ITSELF[language] if itself else title_of(reason.product_id))
