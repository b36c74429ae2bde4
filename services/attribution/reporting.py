"""``python -m services.attribution report``: an experiment's page, and its figures as JSON."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from services.attribution.adapters.experiment_files import ExperimentFiles
from services.attribution.domain.report import Report, report, report_json
from services.attribution.domain.report_page import report_page
from services.attribution.looking import Looking
from services.shared.errors import BadInput

COMMAND: Final = "report"

Say = Callable[[str], None]


class Choice(NamedTuple):
    """Which experiment, and where to."""

    shop_id: str
    experiment: str
    folder: Path


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog=f"python -m services.attribution {COMMAND}",
        description="Look at an experiment and write what is seen: EXPERIMENT.html for people, "
        "EXPERIMENT.json for programs. One may look whenever one likes.",
    )
    made.add_argument("--shop", required=True, help="the shop's id")
    made.add_argument("--experiment", required=True, help="its name in the shop's file")
    made.add_argument(
        "--to", type=Path, default=Path(), metavar="FOLDER", help="this one if not told"
    )
    return made


def choice_of(told: argparse.Namespace) -> Choice:
    """What a command line chooses."""
    return Choice(told.shop, told.experiment, told.to)


async def write(looking: Looking, files: ExperimentFiles, choice: Choice, say: Say) -> int:
    """Write both. Raises BadInput for an experiment that is not known, and RedisUnavailable."""
    files.refresh()
    experiment = files.of(choice.shop_id).get(choice.experiment)
    if experiment is None:
        raise BadInput(
            f"shop {choice.shop_id} has no experiment {choice.experiment}; it has "
            + (", ".join(sorted(files.of(choice.shop_id))) or "none")
        )
    tallies, seen = await looking.look(choice.shop_id, experiment)
    at = seen.course.at or seen.since
    made = report(experiment, tallies, seen.course, since=seen.since, at=at)
    choice.folder.mkdir(parents=True, exist_ok=True)
    page = choice.folder / f"{choice.experiment}.html"
    page.write_text(report_page(made), "utf-8")
    page.with_suffix(".json").write_bytes(report_json(made))
    for line in _lines(made):
        say(line)
    say(f"written: {page}")
    return 0


def _lines(made: Report) -> list[str]:
    """The decision on each arm."""
    if made.is_void:
        return ["void: shoppers do not come in the planned shares"]
    return [f"{arm.figures.arm}: {arm.decision}" for arm in made.arms]
