"""The command line of ``python -m services.recommendations models``."""

from __future__ import annotations

import argparse
import getpass
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from services.recommendations.domain.serving import MOST_SHARE, Guards
from services.recommendations.retraining_arguments import (
    ADVANCE,
    ADVANCE_EXAMPLES,
    RETRAIN,
    RETRAIN_EXAMPLES,
    add_advance,
    add_retrain,
)
from services.recommendations.settings import PREFIX, SHOP

COMMAND: Final = "models"
PROG: Final = f"python -m services.recommendations {COMMAND}"
REGISTRY: Final = f"{PREFIX}REGISTRY"

DESCRIPTION: Final = """\
Says which model bundle answers for a shop. Servers look into the registry every few seconds and
follow; none has to be started anew. The usual way of a bundle:

  publish    prove it and put it into the registry; it has no part in anything yet
  shadow     servers compute its answers beside those that are given; nobody sees them
  canary     it answers a share of the shoppers, and goes back by itself when a guard falls
  promote    it answers everybody
  rollback   the one before answers everybody again
  stop       end a canary or a shadow
  list, show what there is, what is in use, and what was changed when, by whom and why

By a schedule: retrain makes a new bundle from the archive and has it tried, advance takes the steps
after that.
"""


def parser(environ: Mapping[str, str]) -> argparse.ArgumentParser:
    """All commands; the registry is what the environment says unless told."""
    top = argparse.ArgumentParser(
        prog=PROG,
        description=DESCRIPTION,
        epilog="Status 0: done, or there was nothing to do. 1: the store is away, run it again. 2: "
        f"refused. {PROG} COMMAND --help says more of each.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    shop = _shop(environ)
    changing = [shop, _whose(environ)]
    publish = _command(commands, "publish", "prove a bundle and put it into the registry", changing)
    publish.add_argument("folder", type=Path, help="the bundle, as model_export made it")
    shadow = _command(
        commands, "shadow", "have a bundle's answers computed, seen by nobody", changing
    )
    shadow.add_argument("version", help="a published version; 'list' shows them")
    shadow.add_argument(
        "--sample", type=float, default=0.1, help="share of the answers to compare (default: 0.1)"
    )
    _add_canary(commands, changing)
    promote = _command(commands, "promote", "have a bundle answer everybody", changing)
    promote.add_argument("version", nargs="?", help="default: the canary, or a shop's first bundle")
    _command(commands, "rollback", "have the former bundle answer everybody again", changing)
    stop = _command(commands, "stop", "end a canary or a shadow", changing)
    stop.add_argument("role", choices=("canary", "shadow"))
    _command(commands, "list", "list the published bundles, newest last", [shop])
    _add_show(commands, shop)
    judge = _command(commands, "judge", "let the guard of clicks see what was counted", changing)
    judge.add_argument(
        "clicks",
        type=Path,
        nargs="?",
        help='a JSON file: {VERSION: {"answers": 1000, "clicked": 52}, …}, of the last days; if '
        "none is named attribution is asked, which needs ATTUNE_ATTRIBUTION_REDIS_URL",
    )
    _add_scheduled(commands, shop, environ)
    return top


def _add_scheduled(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    shop: argparse.ArgumentParser,
    environ: Mapping[str, str],
) -> None:
    retrain, advance = (
        commands.add_parser(
            name,
            help=does,
            description=description,
            epilog=examples,
            parents=[shop],
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        for name, does, description, examples in (
            ("retrain", "do one round of retraining", RETRAIN, RETRAIN_EXAMPLES),
            ("advance", "take the next step of what is on trial", ADVANCE, ADVANCE_EXAMPLES),
        )
    )
    add_retrain(retrain, environ)
    add_advance(advance)


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    does: str,
    parents: list[argparse.ArgumentParser],
) -> argparse.ArgumentParser:
    return commands.add_parser(
        name, help=does, description=f"{does[:1].upper()}{does[1:]}.", parents=parents
    )


def _add_canary(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    parents: list[argparse.ArgumentParser],
) -> None:
    canary = _command(commands, "canary", "have a bundle answer a share of the shoppers", parents)
    canary.add_argument("version", help="a published version; 'list' shows them")
    canary.add_argument(
        "--share", type=float, required=True, help=f"above 0, at most {MOST_SHARE:g}"
    )
    usual = Guards()
    guards = canary.add_argument_group(
        "guards", "each stays as it was where it is not told; a canary that breaks one is stopped"
    )
    for name, kind, text in (
        ("window_seconds", int, "answers of so long ago are forgotten"),
        ("minimum", int, "answers of each side before anything is judged"),
        ("error_share", float, "so much above the served bundle's its share of errors may be"),
        ("fallback_share", float, "the same of lists that are not personal"),
        ("latency_ratio", float, "so many times the served bundle's 99th percentile"),
        ("clicks_loss", float, "part of the served bundle's clicks per answer it may lack"),
    ):
        told = f"{text} (at first: {getattr(usual, name):g})"
        guards.add_argument(f"--{name.replace('_', '-')}", type=kind, help=told)


def _add_show(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], shop: argparse.ArgumentParser
) -> None:
    show = _command(commands, "show", "show what is in use, and the newest changes", [shop])
    show.add_argument("--last", type=int, default=10, help="so many changes (default: 10)")
    show.add_argument("--json", action="store_true", help="for programs")
    show.add_argument(
        "--compare", action="store_true", help="how the shadow would have answered, instead"
    )
    show.add_argument("--page", type=Path, help="with --compare: write it as an HTML page, too")


def _shop(environ: Mapping[str, str]) -> argparse.ArgumentParser:
    parent = argparse.ArgumentParser(add_help=False)
    known = environ.get(REGISTRY, "")
    parent.add_argument(
        "--registry",
        default=known,
        required=not known,
        help=f"a folder, or a store such as s3://bucket/models (default: {REGISTRY})",
    )
    parent.add_argument("--shop", type=_shop_id, required=True, help="the shop's id")
    return parent


def _whose(environ: Mapping[str, str]) -> argparse.ArgumentParser:
    parent = argparse.ArgumentParser(add_help=False)
    parent.add_argument("--why", default="", help="for the history")
    parent.add_argument(
        "--who", default=_somebody(environ), help="for the history (default: user and machine)"
    )
    return parent


def _somebody(environ: Mapping[str, str]) -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user of a container has no name
        user = environ.get("USER") or str(os.getuid())
    return f"{user}@{platform.node()}"


def _shop_id(text: str) -> str:
    if not SHOP.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no shop's id")
    return text
