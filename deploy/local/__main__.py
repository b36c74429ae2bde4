"""Run the embedded stack: ``python -m deploy.local COMMAND --help``."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from deploy.local.stack import FOLDER, Stack
from deploy.local.state import read_state, stop_recorded
from deploy.local.supervised import StackFailed
from deploy.local.told import Ports
from deploy.local.topics import create_topics

LEAST_LINES: Final = 10_000
"""A demo of fewer order lines would not have a household for each of its stories."""

INTERRUPTED: Final = 130
"""The exit status by convention of what was stopped by Ctrl-C."""


def main(arguments: Sequence[str]) -> int:
    """Do what the command line says; answers the exit status."""
    told = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # both end a command alike
    try:
        return int(told.run(told))
    except KeyboardInterrupt:
        return INTERRUPTED
    except StackFailed as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _up(told: argparse.Namespace) -> int:
    if read_state(told.folder).processes:
        print("a stack is recorded as running; `make down` stops it", file=sys.stderr)
        return 1
    stack = Stack(told.folder, Ports(told.kafka_port, told.redis_port, told.grpc_port))
    stack.start(lambda what: print(f"starting {what}", flush=True))
    for name, address in read_state(told.folder).addresses.items():
        print(f"{name.replace('_', ' '):>20}  {address}")
    print(f"{'api key':>15}  {(told.folder / 'api-key').read_text()}")
    print("`make down` stops it; its data stay in", told.folder)
    return 0


def _down(told: argparse.Namespace) -> int:
    stopped = stop_recorded(told.folder)
    print("stopped " + ", ".join(stopped) if stopped else "nothing is running")
    return 0


def _topics(told: argparse.Namespace) -> int:
    created = asyncio.run(create_topics(told.servers, prefix=told.prefix))
    print("created " + ", ".join(created) if created else "all topics are there")
    return 0


def _demo(told: argparse.Namespace) -> int:
    from deploy.local.demo.run import run_demo  # its libraries take a second to load

    ports = Ports(told.kafka_port, told.redis_port, told.grpc_port)
    is_done = run_demo(told.folder, ports, lines=told.lines, once=told.once)
    return 0 if is_done else INTERRUPTED


def _demo_serving(told: argparse.Namespace) -> int:
    from deploy.local.demo_serving.run import run_demo  # its libraries take a second to load

    ports = Ports(told.kafka_port, told.redis_port, told.grpc_port)
    is_done = run_demo(told.folder, ports, lines=told.lines, once=told.once)
    return 0 if is_done else INTERRUPTED


def _lines(text: str) -> int:
    if not text.isdecimal() or int(text) < LEAST_LINES:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from {LEAST_LINES:,} on")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.local",
        description="Attune on this machine: Kafka, Redis, the profiles worker, the "
        "recommendations server and the events server, as ordinary processes that listen on "
        "127.0.0.1.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="start everything, wait until it is ready, leave it")
    up.set_defaults(run=_up)
    down = commands.add_parser("down", help="stop what `up` or `demo` has left running")
    down.set_defaults(run=_down)
    topics = commands.add_parser("topics", help="create the topics that are missing in a Kafka")
    topics.set_defaults(run=_topics)
    topics.add_argument("--servers", required=True, help="Kafka, such as 127.0.0.1:19092")
    topics.add_argument("--prefix", default="", help="what their names start with")
    demo = commands.add_parser("demo", help="the whole path on real data, explained as it goes")
    demo.set_defaults(run=_demo)
    serving = commands.add_parser(
        "demo-serving", help="a scenario edited live, a model exchanged under load, an experiment"
    )
    serving.set_defaults(run=_demo_serving)
    for command, lines in ((demo, 600_000), (serving, 60_000)):
        command.add_argument("--once", action="store_true", help="stop everything at the end")
        command.add_argument(
            "--lines",
            type=_lines,
            default=lines,
            help="replay the newest orders, with about so many lines (default: %(default)s)",
        )
    for command in (up, down, demo, serving):
        command.add_argument(
            "--folder",
            type=Path,
            default=FOLDER,
            help="data, logs and state (default: %(default)s)",
        )
    for command in (up, demo, serving):
        for name in ("kafka", "redis", "grpc"):
            command.add_argument(
                f"--{name}-port",
                type=int,
                help="an error if it is in use (default: a usual one, or a free one)",
            )
    return parser


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
