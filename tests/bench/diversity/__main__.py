"""What variety costs, and what it brings: ``make bench-diversity``.

Held-out baskets of the Complete Journey, or of a prepared folder, are foretold by a bundle; from
the best 50 products of each, two re-rankers choose ten: the product's (MMR) and a control (DPP).
From strength 0, the ranking itself, to 1 it is measured how much NDCG@10 is lost, how far apart
a list's products are, how many categories, brands and merchants it has, and how much of the
catalogue all lists show; and what a call takes. The baskets of the validation part say which
strength loses at most 1 %; what it then loses on the held-out ones is the honest figure.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.progress import track
from rich.table import Table

from model_export import prepared_folder
from model_export.cli import BUNDLE
from model_export.dataset import HELD_OUT, VALIDATION
from model_export.preparation.prepare import prepare_complete_journey
from services.shared.bundle import load_bundle
from tests.bench.diversity.arms import DPP, MMR, Arm, capped, curve, lists_of, microseconds
from tests.bench.diversity.drawing import Found, draw, row_of_time, rows_at, rows_of, table
from tests.bench.diversity.shop import LARGEST, Asked, Shop
from tests.bench.diversity.variety import lost, variety
from tests.bench.report import ROOT, TARGET, Row, publish

STRENGTHS: Final = (0, 0.05, 0.1, 0.15, *(tenth / 10 for tenth in range(2, 11)))
FINER: Final = tuple(step / 20 for step in range(13))
"""Of which one is chosen."""
ALLOWED: Final = 1.0
"""Percent of NDCG@10 that variety may cost."""
AIM: Final = 60.0
"""Microseconds that a call may take, ten of fifty."""
QUICK: Final = 20


def main() -> None:
    """Measure, and publish."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.diversity", description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"every {QUICK}th basket only")
    parser.add_argument("--data", type=Path, help="a prepared folder instead, with --bundle")
    parser.add_argument("--bundle", type=Path, default=ROOT / BUNDLE, help="of which model")
    told = parser.parse_args()
    data = prepared_folder.load(told.data) if told.data else prepare_complete_journey()
    shop, every = Shop(data, load_bundle(told.bundle)), QUICK if told.quick else 1
    chosen, *_ = shop.asked(VALIDATION, every)
    rows, tables = chosen_rows(shop, chosen)
    name = f"diversity-{told.data.name}" if told.data else "diversity"
    for asked in shop.asked(HELD_OUT, every):
        title = f"{shop.name}, {asked.question.name}"
        found = compared(shop, asked, [*curve(MMR, STRENGTHS), *curve(DPP, STRENGTHS), *capped()])
        rows += [*rows_of(title, found), *rows_at(title, found, ALLOWED)]
        tables.append(table(f"{title}: {len(asked.pools):,} held-out baskets", found))
        draw(TARGET / f"{name}-{asked.question.name.split()[0]}.svg", title, found)
    rows += times(shop, chosen)
    publish(name, rows, *tables)


def compared(shop: Shop, asked: Asked, arms: Sequence[Arm]) -> list[Found]:
    """What each arm does, beside the first."""
    lists = [lists_of(shop, asked, arm) for arm in track(arms, asked.question.name)]
    found = [variety(shop, asked, each) for each in lists]
    return [
        Found(arm, each, lost(asked, each.ndcg, found[0].ndcg))
        for arm, each in zip(arms, found, strict=True)
    ]


def chosen_rows(shop: Shop, asked: Asked) -> tuple[list[Row], list[Table]]:
    """The greatest strength that loses no more than is allowed, on the validation part."""
    found = compared(shop, asked, curve(MMR, FINER))
    within = [each for each in found if each.lost.mean <= ALLOWED]
    mean, low, high = within[-1].lost
    title = f"{shop.name}, validation, {asked.question.name}"
    rows = [
        Row(f"{title}: strength that is chosen", within[-1].arm.strength, "", (0, 1)),
        Row(f"{title}: NDCG@10 lost by it", mean, "%", (low, high), gate=ALLOWED),
    ]
    return rows, [table(f"{title}: {len(asked.pools):,} baskets", found)]


def times(shop: Shop, asked: Asked) -> list[Row]:
    """What a call of each takes."""
    served = capped()[-1]
    arms = [*curve(MMR, (served.strength,)), *curve(DPP, (served.strength,)), served]
    return [
        row_of_time(
            arm, size, microseconds(shop, asked, arm, size), AIM if size < LARGEST else None
        )
        for size in (LARGEST // 2, LARGEST)
        for arm in arms
    ]


if __name__ == "__main__":
    main()
