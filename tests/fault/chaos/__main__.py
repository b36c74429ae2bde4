"""Plays seeded stories of faults: ``make fault``."""

from __future__ import annotations

import argparse
import asyncio
import logging
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count

from rich.console import Console
from rich.table import Table

from tests.bench.report import ROOT, Row, publish
from tests.fault.chaos.crew import WORKER
from tests.fault.chaos.finding import Found, found_out
from tests.fault.chaos.mutants import MUTANTS
from tests.fault.chaos.playing import Outcome, play
from tests.fault.chaos.stage import servers
from tests.fault.chaos.terminal import display

FOLDER = ROOT / "build/fault"
EPILOG = """\
A seed makes a story: what shoppers do, in three waves, and what breaks meanwhile: workers, Redis
and Kafka are killed, stand still, fill up, come and go. In the end every profile, trend count and
dead letter must be what the oracle makes of the events. Moments are the machine's, so a seed that
failed may have to be played a few times. Logs stay in build/fault for seeds that failed. At the
end workers that are wrong on purpose are started instead, which the stories must find out. Status
1 where a story failed, or found nothing wrong with one of those.
"""


def parser() -> argparse.ArgumentParser:
    """What can be asked for."""
    made = argparse.ArgumentParser(
        prog="python -m tests.fault.chaos", description=__doc__, epilog=EPILOG
    )
    made.add_argument(
        "--faults", type=int, default=300, help="play stories until so many faults have struck"
    )
    made.add_argument(
        "--from-seed", type=int, default=1, help="the first story's seed; then the next ones"
    )
    made.add_argument("--seed", type=int, help="play this one story alone")
    made.add_argument("--worker", default=WORKER, help="the module that is started as a worker")
    return made


def run(seeds: Iterator[int], faults: int, worker: str) -> list[Outcome]:
    """Play stories until ``faults`` have struck or there is none left."""
    outcomes: list[Outcome] = []
    shutil.rmtree(FOLDER, ignore_errors=True)
    with servers(FOLDER / "servers") as on, display("faults", faults) as shown:
        struck = 0
        for seed in seeds:
            shown.begin(f"seed {seed}")

            def advance(_: str) -> None:
                shown.advance()

            folder = FOLDER / f"seed-{seed}"
            outcomes.append(asyncio.run(play(seed, on, folder, module=worker, struck=advance)))
            if outcomes[-1].is_right and not outcomes[-1].unclean:
                shutil.rmtree(folder)
            elif outcomes[-1].is_right:
                told = f"seed {seed}: ended uncleanly, see {folder}: {outcomes[-1].unclean}"
                shown.say(told)
            else:
                shown.say(outcomes[-1].told())
            struck += outcomes[-1].faults.total()
            if struck >= faults:
                break
    return outcomes


def try_mutants() -> list[bool]:
    """Which wrong workers were found out; each is shown."""
    table = Table("wrong worker", "found out by", title="would it be noticed?")
    found: list[bool] = []
    with (
        servers(FOLDER / "servers-of-mutants") as on,
        display("wrong workers", len(MUTANTS)) as shown,
    ):
        for mutant in MUTANTS:
            name = mutant.replace("_", " ")

            def begin(seed: int, name: str = name) -> None:
                shown.begin(f"one that {name}, seed {seed}")

            one: Found = asyncio.run(found_out(mutant, on, FOLDER / "mutants", begin))
            shown.advance()
            table.add_row(name, one.told())
            found.append(one.by is not None)
    shutil.rmtree(FOLDER / "mutants")
    Console().print(table)
    return found


def show(outcomes: Sequence[Outcome]) -> None:
    """A table of the faults that have struck, by kind."""
    struck: Counter[str] = sum((each.faults for each in outcomes), Counter())
    table = Table("fault", "struck", title="what has struck")
    for kind, times in struck.most_common():
        table.add_row(kind.replace("_", " "), str(times))
    Console().print(table)


def rows(outcomes: Sequence[Outcome]) -> list[Row]:
    """The figures; the spread is over stories."""

    def row(measure: str, values: Sequence[float], unit: str, *held: float) -> Row:
        return Row(measure, sum(values), unit, (min(values), max(values)), *held)

    return [
        row("stories", [1 for _ in outcomes], "stories"),
        row("faults", [each.faults.total() for each in outcomes], "faults"),
        row("events", [each.events for each in outcomes], "events"),
        row("lost", [each.lost for each in outcomes], "facts", 0, 0),
        row("doubled", [each.doubled for each in outcomes], "facts", 0, 0),
        row("stories that failed", [not each.is_right for each in outcomes], "stories", 0, 0),
        row("workers that ended unasked", [each.unasked for each in outcomes], "workers", 0, 0),
        row("workers that ended uncleanly", [len(each.unclean) for each in outcomes], "workers"),
        row("time", [each.seconds for each in outcomes], "s"),
    ]


def mutant_rows(found: Sequence[bool]) -> list[Row]:
    """How many wrong workers were noticed; none where none were tried."""
    if not found:
        return []
    value = sum(found)
    return [Row("wrong workers found out", value, "workers", (value, value), len(found))]


def main() -> int:
    """Play, show, and publish."""
    asked = parser().parse_args()
    for name in ("aiokafka", "kafka", "asyncio"):  # a broker that is away is no news here
        logging.getLogger(name).setLevel(logging.CRITICAL)
    alone = asked.seed is not None
    seeds = iter([asked.seed]) if alone else count(asked.from_seed)
    outcomes = run(seeds, 1 if alone else asked.faults, asked.worker)
    show(outcomes)
    found = [] if alone else try_mutants()
    publish("faults", [*rows(outcomes), *mutant_rows(found)])
    return 0 if all(each.is_right for each in outcomes) and all(found) else 1


if __name__ == "__main__":
    raise SystemExit(main())
