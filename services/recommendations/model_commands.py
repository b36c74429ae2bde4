"""The commands that say which model answers: each reads the registry, does one thing and ends."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from services.recommendations.adapters import click_counts
from services.recommendations.adapters.click_counts import clicked_in, of_two
from services.recommendations.adapters.model import prove
from services.recommendations.adapters.registry import Registry
from services.recommendations.advancing import tallies
from services.recommendations.comparison_page import HEADS, page, rows
from services.recommendations.domain.comparison import Figures, figures
from services.recommendations.domain.guards import fallen_clicks
from services.recommendations.domain.next_step import Counted, open_trial
from services.recommendations.domain.serving import Change, Guards, Role, Serving
from services.recommendations.domain.transitions import (
    Transition,
    canary,
    next_to_serve,
    promote,
    publish,
    rollback,
    shadow,
    stop_canary,
    stop_shadow,
)
from services.recommendations.model_arguments import COMMAND, parser
from services.recommendations.retraining_commands import retrain, step_on
from services.shared.archive_storage import open_storage
from services.shared.errors import AttuneError, ServingRefused, Unavailable

__all__ = ["COMMAND", "run_command"]

Say = Callable[[str], None]


class Context(NamedTuple):
    """What a command works with."""

    registry: Registry
    told: argparse.Namespace
    say: Say


def run_command(
    arguments: Sequence[str], environ: Mapping[str, str], *, say: Say, remark: Say
) -> int:
    """Do it; status 1 where the store is away, 2 where it is refused."""
    told = parser(environ).parse_args(arguments)
    try:
        registry = Registry(open_storage(told.registry), lambda: time.time_ns() // 1000)
        DO[told.command](Context(registry, told, say))
    except Unavailable as error:
        remark(f"{error.code}: {error}; run it again")
        return 1
    except AttuneError as error:
        remark(f"{error.code}: {error}")
        return 2
    return 0


def _publish(context: Context) -> None:
    folder: Path = context.told.folder
    version = prove(folder).bundle.manifest.version
    bundle = context.registry.upload(context.told.shop, folder)
    _change(context, partial(publish, bundle=bundle), f"publish {version}")


def _shadow(context: Context) -> None:
    version, sample = context.told.version, context.told.sample
    _change(
        context, partial(shadow, version=version, sample=sample), f"shadow {version}, {sample:g}"
    )


def _canary(context: Context) -> None:
    told = context.told
    names = (name for name in Guards.__struct_fields__ if getattr(told, name) is not None)
    changed = {name: getattr(told, name) for name in names}

    def transition(serving: Serving) -> Serving:
        try:
            guards = msgspec.convert({**msgspec.structs.asdict(serving.guards), **changed}, Guards)
        except msgspec.ValidationError as error:
            raise ServingRefused(f"guards: {error}") from error
        return canary(serving, told.version, told.share, guards)

    _change(context, transition, f"canary {told.version}, {told.share:g}")


def _promote(context: Context) -> None:
    told = context.told
    version = told.version or next_to_serve(context.registry.serving(told.shop))
    _change(context, partial(promote, version=version), f"promote {version}")


def _rollback(context: Context) -> None:
    former = context.registry.serving(context.told.shop).former
    what = "rollback" if former is None else f"rollback to {former}"
    why = context.told.why or f"rolled back by {context.told.who}"
    _change(context, partial(rollback, why=why), what)


def _stop(context: Context) -> None:
    role, why = context.told.role, context.told.why or f"stopped by {context.told.who}"
    transition = partial(stop_canary, why=why) if role == "canary" else stop_shadow
    _change(context, transition, f"stop {role}")


def _judge(context: Context) -> None:
    """Stop the canary if it is clicked too seldom; see the guards."""
    registry, told = context.registry, context.told
    in_file = None if told.clicks is None else clicked_in(told.clicks)
    trial = open_trial(registry.history(told.shop))

    def count(ours: str, usual: str) -> Counted:
        if in_file is not None:
            return of_two(in_file, ours, usual)
        since = 0 if trial is None else trial.since
        return click_counts.of_attribution(told.shop, since, time.time_ns() // 1000, ours, usual)

    def transition(serving: Serving) -> Serving:
        roles = serving.roles()
        ours, usual = roles.get(Role.CANARY), roles.get(Role.SERVED)
        if ours is None or usual is None:
            return serving
        counted = count(ours, usual)
        found = fallen_clicks(counted.canary, counted.served, serving.guards)
        return serving if found is None else stop_canary(serving, found.why)

    _change(context, transition, "judge clicks")


def _list(context: Context) -> None:
    serving = context.registry.serving(context.told.shop)
    roles: dict[str, str] = {version: role.value for role, version in serving.roles().items()}
    if serving.former is not None:
        roles.setdefault(serving.former, "former")
    for bundle in serving.published:
        context.say(f"{bundle.version}  {roles.get(bundle.version, '')}".rstrip())
    if not serving.published:
        context.say("nothing is published; 'models publish FOLDER' does it")


def _show(context: Context) -> None:
    serving = context.registry.serving(context.told.shop)
    if context.told.compare:
        _show_compared(context, serving)
    elif context.told.json:
        context.say(msgspec.json.format(msgspec.json.encode(serving)).decode())
    else:
        for line in described(serving):
            context.say(line)
        for place, change in enumerate(context.registry.history(context.told.shop)):
            if place == context.told.last:
                break
            context.say(_told(change))


def _show_compared(context: Context, serving: Serving) -> None:
    served, other = serving.served, serving.shadow
    if served is None or other is None:
        raise ServingRefused("nothing is in the shadow of a served bundle")
    found = tallies(context.registry, context.told.shop, served, other.version)
    scenarios = {name: figures(found[name]) for name in sorted(found)}
    if context.told.page is not None:
        text = page(context.told.shop, served, other.version, scenarios)
        context.told.page.write_text(text, encoding="utf-8")
    if context.told.json:
        report = Report(served=served, shadow=other.version, scenarios=scenarios)
        context.say(msgspec.json.format(msgspec.json.encode(report)).decode())
        return
    context.say(f"{other.version} in the shadow of {served}")
    if not scenarios:
        context.say("nothing is compared yet; servers say what they have seen every few seconds")
        return
    table = [HEADS, *rows(scenarios)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        context.say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A comparison as programs read it."""

    served: str
    shadow: str
    scenarios: dict[str, Figures]


def described(serving: Serving) -> list[str]:
    """A document in sentences."""
    lines = [f"served: {serving.served or 'nothing'}"]
    if serving.former is not None:
        lines.append(f"former: {serving.former}")
    if serving.withdrawn is not None:
        lines.append(f"withdrawn by the last rollback: {serving.withdrawn}")
    if serving.canary is not None:
        trial = serving.canary
        state = f"{trial.share:.2%} of the shoppers" if trial.share else f"stopped: {trial.stopped}"
        lines.append(f"canary: {trial.version}, {state}")
    if serving.shadow is not None:
        lines.append(
            f"shadow: {serving.shadow.version}, {serving.shadow.sample:.0%} of the answers"
        )
    return lines


def _told(change: Change) -> str:
    at = datetime.fromtimestamp(change.at / 1e6, UTC).isoformat(timespec="seconds")
    why = f": {change.why}" if change.why else ""
    return f"{change.serving.number:>6}  {at}  {change.who}  {change.what}{why}"


def _change(context: Context, transition: Transition, what: str) -> None:
    """Change the document and say what it says now; or that there was nothing to do."""
    changed = False

    def noticed(serving: Serving) -> Serving:
        nonlocal changed
        after = transition(serving)
        changed = after != serving
        return after

    told = context.told
    serving = context.registry.change(told.shop, noticed, who=told.who, what=what, why=told.why)
    context.say(f"{told.shop}: {what}" if changed else f"{told.shop}: nothing to do")
    for line in described(serving):
        context.say(f"  {line}")


DO: Final[Mapping[str, Callable[[Context], None]]] = {
    "publish": _publish,
    "shadow": _shadow,
    "canary": _canary,
    "promote": _promote,
    "rollback": _rollback,
    "stop": _stop,
    "judge": _judge,
    "list": _list,
    "show": _show,
    "retrain": lambda context: retrain(context.registry, context.told, context.say),
    "advance": lambda context: step_on(context.registry, context.told, context.say),
}
