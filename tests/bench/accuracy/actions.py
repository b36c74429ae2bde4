"""What knowing the actions is worth: ``make bench-actions``.

The events of ``../shared/data/rees46`` (views, carts and purchases of three hours), each user's
last event held out, the last but one validating. Two models that differ in nothing but this:
one is told what was done with each product and is asked for the action that followed; for the
other every event is of one and the same kind. Both are asked which product came next, ranked
against all products; what a user touched before may come again.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from model_export.dataset import HELD_OUT, VALIDATION, Prepared
from model_export.evaluation.metrics import interval
from model_export.modelling.model import Model
from model_export.preparation.prepare import prepare_leave_one_out
from model_export.preparation.rows import ACTION_NAMES
from model_export.preparation.sources import Read
from model_export.training.catalogue import Catalogue
from model_export.training.rules import settings_for
from services.shared.model_input import PURCHASE, TARGETS, encode_known
from tests.bench.accuracy.quiet import trained
from tests.bench.report import ROOT, Row, publish

DATA: Final = ROOT.parent / "shared/data/rees46/2019-Oct-first-17435.csv.gz"
SEEDS: Final = (1, 2, 3)
LEAST: Final = 3
"""Events a user must have."""
DISCOUNTED: Final = 10


def read(path: Path) -> Read:
    """The log's users with enough events, their actions by our numbers."""
    table = pl.read_csv(path, infer_schema_length=None)
    frame = table.select(
        pl.col("user_id").cast(pl.String),
        pl.col("product_id").cast(pl.String).alias("item_id"),
        pl.col("event_time")
        .str.strip_suffix(" UTC")
        .str.to_datetime(time_unit="us")
        .dt.epoch("us")
        .alias("at"),
        pl.col("event_type").replace_strict(ACTION_NAMES, return_dtype=pl.Int8).alias("action"),
    )
    kept = frame.filter(pl.len().over("user_id") >= LEAST)
    return Read(kept, path.name, "", len(frame), {"of users with few": len(frame) - len(kept)})


class Last:
    """Puts one part's events to a model: which product came at the end of each history."""

    def __init__(self, data: Prepared, known: Catalogue, length: int, part: int) -> None:
        """``part`` is HELD_OUT or VALIDATION; each user has one event in either."""
        rows = np.flatnonzero(data.parts == part)
        firsts = np.searchsorted(data.users, data.users[rows])
        inputs = [
            self._input(data, known, slice(a, b), length) for a, b in zip(firsts, rows, strict=True)
        ]
        self._inputs = [
            torch.from_numpy(np.stack(each)).long() for each in zip(*inputs, strict=True)
        ]
        self._targets = known.index[data.items[rows]]
        wanted = data.actions[rows][:, None] == np.array(TARGETS)
        self._wanted = torch.from_numpy(wanted.astype(np.float32))
        self.actions: NDArray[np.int8] = data.actions[rows]

    def _input(
        self, data: Prepared, known: Catalogue, before: slice, length: int
    ) -> tuple[NDArray[np.integer], ...]:
        items = known.index[data.items[before]]
        kept = np.flatnonzero(items)[-length:]
        found = items[kept], data.actions[before][kept], data.at[before][kept]
        return encode_known(*found, max_length=length)

    @torch.no_grad()
    def gains(self, model: Model) -> NDArray[np.float64]:
        """NDCG@10 of each event; 0 where its product is one that the model does not know."""
        items, actions, gaps = self._inputs
        scores = model(model.items(items), actions, gaps, self._wanted) @ model.items.vectors().T
        scores[:, 0] = -torch.inf
        own = scores.gather(1, torch.from_numpy(self._targets).unsqueeze(1))
        places = (scores > own).sum(1).numpy() + 1
        hits = (places <= DISCOUNTED) & (self._targets > 0)
        return np.where(hits, 1 / np.log2(places + 1), 0.0)

    def ndcg(self, model: Model) -> float:
        """See :class:`model_export.training.watching.Judge`."""
        return float(self.gains(model).mean())


def without_actions(data: Prepared) -> Prepared:
    """The same, every event a purchase."""
    return replace(data, actions=np.full_like(data.actions, PURCHASE))


def gains_of(data: Prepared, seed: int) -> NDArray[np.float64]:
    """Train on ``data``, and put each user's last event to the best model."""
    told = {"seed": seed, "threads": min(2, len(os.sched_getaffinity(0)))}
    settings = settings_for(data.about, [data], told)
    held: list[Last] = []

    def judge_of(known: Catalogue) -> Last:
        held.append(Last(data, known, settings.max_length, HELD_OUT))
        return Last(data, known, settings.max_length, VALIDATION)

    model, _ = trained(data, settings, judge_of)
    return held[0].gains(model)


def what_is_told(data: Prepared) -> list[Row]:
    """How much there is to know: how common views are, and what is carted and purchased."""
    views = data.actions == ACTION_NAMES["view"]
    later = np.flatnonzero(~views[1:]) + 1
    before = later - 1
    just_seen = (data.users[later] == data.users[before]) & (
        data.items[later] == data.items[before]
    )
    told = {
        f"views among {len(views):,} events": views,
        f"carts and purchases ({len(later)}) of the product of the event before": just_seen,
    }
    means = {what: float(each.mean()) for what, each in told.items()}
    return [Row(what, share, "share", (share, share)) for what, share in means.items()]


def main() -> None:
    """Measure, and publish."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.accuracy.actions")
    parser.add_argument("--quick", action="store_true", help="one seed")
    told = parser.parse_args()
    if not DATA.exists():
        parser.error(f"{DATA} is not here: it may not be passed on with the project")
    data = prepare_leave_one_out(read(DATA))
    seeds = SEEDS[:1] if told.quick else SEEDS
    blind, aware = (
        np.mean([gains_of(each, seed) for seed in seeds], axis=0)
        for each in (without_actions(data), data)
    )
    actions = data.actions[data.parts == HELD_OUT]
    rows = []
    for name, those in [
        ("all", actions > 0),
        *((name, actions == ACTION_NAMES[name]) for name in ("view", "cart", "purchase")),
    ]:
        if those.sum() < 10:
            continue
        users = np.arange(int(those.sum()))
        pairs = (("action-blind", blind), ("action-aware", aware), ("difference", aware - blind))
        for kind, gains in pairs:
            mean, low, high = interval(gains[those], users, seed=1)
            gate = 0.0 if (name, kind) == ("all", "difference") else None
            row = Row(f"{name} ({len(users):,}): {kind}", mean, "NDCG@10", (low, high), gate)
            rows.append(row)
    publish("actions", [*rows, *what_is_told(data)])


if __name__ == "__main__":
    main()
