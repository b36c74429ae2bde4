"""Which lists have the credit for a cart or a purchase.

A line that names its list by token is that list's, if the list has the product and its window is
open. Any other line is credited to lists that have the product, whose window is open, and in which
the product was chosen, seen or only listed before, as each list's rule asks. Of these the newest
has credit where its rule says *last*, the oldest where it says *first*, and each one that says
*every*. So shops with one rule count no purchase twice unless the rule is *every*.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from services.shared.trail import HOUR, Act, Cancel, Line, Shown, Trail, product_hash

Having = Mapping[int, list[tuple[Shown, int]]]
"""By a product's hash the lists that have it, and its place in each; the oldest first."""


class Credited(NamedTuple):
    """A line that was not taken back, and the lists that have the credit; none: nobody has."""

    act: Act
    line: Line
    lists: Sequence[Shown]


def credited(trail: Trail) -> Iterator[Credited]:
    """Each line of an act that may be credited anew."""
    live = [act for act in trail.acts if act.lines]
    if not live:
        return
    having = _having(trail.shown, {product_hash(line.product_id) for a in live for line in a.lines})
    for act in live:
        for line in _left(act, trail.cancels):
            yield Credited(act, line, _lists(act, line, having))


def settled(trail: Trail, act: Act) -> Act | None:
    """The act with its sums in place of its lines; None where all of it was taken back."""
    having = _having(trail.shown, {product_hash(line.product_id) for line in act.lines})
    spent: Counter[str] = Counter()
    won: Counter[str] = Counter()
    left = _left(act, trail.cancels)
    for line in left:
        if line.currency:
            spent[line.currency] += line.amount
            if line.is_credited or _lists(act, line, having):
                won[line.currency] += line.amount
    return replace(act, lines=(), spent=dict(spent), credited=dict(won)) if left else None


def told(trail: Trail) -> list[Act | Cancel]:
    """What other trails are to know: acts, marked where a list of this one has the credit.

    And what was taken back: whoever has heard of an order hears of that, too, whether or not the
    one who took it back was signed in as the same visitor then.
    """
    acts = [act for act in trail.acts if act.lines and act.to]
    having = _having(trail.shown, {product_hash(line.product_id) for a in acts for line in a.lines})
    marked: list[Act | Cancel] = [
        replace(act, lines=tuple(_marked(act, line, having) for line in act.lines)) for act in acts
    ]
    return [*marked, *_taken_back(trail.cancels, acts)]


def _taken_back(cancels: Sequence[Cancel], acts: Sequence[Act]) -> Iterator[Cancel]:
    """Each cancel for each trail that is to hear of it."""
    for cancel in cancels:
        heard = (act.to for act in acts if act.order and act.order == cancel.order)
        for to in dict.fromkeys([cancel.to, *heard]):
            if to:
                yield cancel if cancel.to == to else replace(cancel, to=to)


def _marked(act: Act, line: Line, having: Having) -> Line:
    return replace(line, is_credited=bool(_lists(act, line, having)))


def _having(shown: Sequence[Shown], products: set[int]) -> Having:
    """Where products of some kinds are."""
    found: dict[int, list[tuple[Shown, int]]] = {product: [] for product in products}
    for each in shown:
        for place, product in enumerate(each.products):
            if product in found:
                found[product].append((each, place))
    return found


def _lists(act: Act, line: Line, having: Having) -> Sequence[Shown]:
    known = having[product_hash(line.product_id)]
    open_lists = [(each, place) for each, place in known if _is_open(each, act)]
    named = [each for each, _ in open_lists if each.token == act.token]
    if named:
        return named[:1]
    fitting = [each for each, place in open_lists if _came_before(each, place, act.at)]
    return [
        each
        for number, each in enumerate(fitting)
        if each.credit == "every"
        or (each.credit == "first" and number == 0 and not line.is_credited)
        or (each.credit == "last" and number == len(fitting) - 1 and not line.is_credited)
    ]


def _is_open(shown: Shown, act: Act) -> bool:
    """Whether the act is within the list's window; one that names the list is never before it."""
    after = act.at - shown.at
    return (after >= 0 or shown.token == act.token) and after <= shown.window_hours * HOUR


def _came_before(shown: Shown, place: int, at: int) -> bool:
    """Whether what the list's rule asks had happened to the product by then."""
    if shown.after == "answer":
        return True
    times = [shown.chosen.get(place)]
    if shown.after == "impression":
        times.append(shown.seen.get(place))
    return any(time is not None and shown.at // 1_000 + time <= at // 1_000 for time in times)


def _left(act: Act, cancels: Sequence[Cancel]) -> list[Line]:
    """The act's lines without what was taken back."""
    back: Counter[str] = Counter()
    for cancel in cancels:
        if act.order and cancel.order == act.order:
            if not cancel.lines:
                return []
            for product_id, quantity in cancel.lines:
                back[product_id] += quantity
    if not back:
        return list(act.lines)
    left = []
    for line in act.lines:
        gone = min(line.quantity, back[line.product_id])
        back[line.product_id] -= gone
        if rest := line.quantity - gone:
            left.append(replace(line, quantity=rest, amount=line.amount * rest // line.quantity))
    return left
