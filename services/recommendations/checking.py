"""``check-scenarios``: what is wrong with documents of scenarios, and where."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from services.recommendations.adapters.scenario_folder import document_of
from services.recommendations.domain.scenario import READY, Scenario, Scenarios
from services.shared.yaml_document import BadDocument, Mistake

COMMAND: Final = "check-scenarios"
WIDEST: Final = 100
"""Characters of a line that are shown."""

Say = Callable[[str], None]


def parser() -> argparse.ArgumentParser:
    """Of the command's own words."""
    made = argparse.ArgumentParser(
        prog=f"python -m services.recommendations {COMMAND}",
        description="Reads documents of scenarios as the server would, and explains every mistake "
        "with its line. It needs no server and no settings.",
        epilog="Status 0 where nothing is wrong, else 1.",
    )
    made.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        type=Path,
        help="a document, named by its shop as in the server's folder, or default.yaml",
    )
    return made


def check(files: Sequence[Path], say: Say) -> int:
    """Tell of each file what is wrong, or what it holds. Returns the exit status."""
    return max(_check(path, say) for path in files)


def _check(path: Path, say: Say) -> int:
    try:
        data = path.read_bytes()
    except OSError as error:
        say(f"{path} cannot be read: {error.strerror or error}")
        return 1
    try:
        scenarios = document_of(path.name, data)
    except BadDocument as error:
        say(f"{path}: {_counted(len(error.mistakes), 'mistake')}")
        lines = data.decode(errors="replace").splitlines()
        for mistake in error.mistakes:
            say("\n".join(_shown(mistake, lines)))
        return 1
    say(f"{path} is fine: {_counted(len(scenarios.scenarios), 'scenario')}")
    for line in _summary(scenarios):
        say(f"  {line}")
    return 0


def _shown(mistake: Mistake, lines: Sequence[str]) -> Iterator[str]:
    """The sentence, the line and a mark below the place."""
    yield ""
    yield f"  {mistake}"
    line = lines[mistake.line - 1] if mistake.line <= len(lines) else ""
    first = max(mistake.column - WIDEST, 0)
    number = f"{mistake.line:>6} | "
    before = "".join("\t" if each == "\t" else " " for each in line[first : mistake.column - 1])
    yield number + line[first : first + WIDEST]
    yield " " * len(number) + before + "^"


def _summary(scenarios: Scenarios) -> Iterator[str]:
    for name, scenario in scenarios.scenarios.items():
        yield f"{name}: {'; '.join(_parts(scenario))}"
    for experiment in scenarios.experiments:
        arms = ", ".join(f"{arm.name} {arm.share:.0%}" for arm in experiment.arms)
        first, end = experiment.traffic
        yield f"experiment {experiment.name}: {arms} of {(end - first) / 10_000:.0%} of shoppers"
    ready = [name for name in READY if name not in scenarios.scenarios]
    if ready:
        yield f"as they come: {', '.join(ready)}"


def _parts(scenario: Scenario) -> Iterator[str]:
    """What is said of a scenario in a line."""
    yield "from " + ", then ".join(scenario.sources)
    if scenario.filter:
        yield "a filter"
    if scenario.boosts:
        yield _counted(len(scenario.boosts), "boost")
    if scenario.pins:
        yield _counted(len(scenario.pins), "pin")
    if scenario.exposure.strength:
        yield "an exposure rule"
    if scenario.arms:
        yield f"arms of {', '.join(scenario.arms)}"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
