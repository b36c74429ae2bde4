"""``models retrain`` and ``models advance``: told by a scheduler, they do one thing and end."""

from __future__ import annotations

import argparse
import shlex
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import msgspec

from services.recommendations.adapters import child, click_counts
from services.recommendations.adapters.click_counts import clicked_in, of_two
from services.recommendations.adapters.registry import Registry
from services.recommendations.adapters.round_folder import opened
from services.recommendations.advancing import advance
from services.recommendations.domain.next_step import Counted, Terms
from services.recommendations.domain.serving import Shadow
from services.recommendations.retraining import STEPS, Plan, Round
from services.shared.errors import ServingRefused
from services.shared.telemetry import configure_logs

T = TypeVar("T")

Say = Callable[[str], None]


def retrain(registry: Registry, told: argparse.Namespace, say: Say) -> None:
    """Do one round, or what is left of one. Raises RoundRefused, Unavailable."""
    configure_logs("retraining")
    plan = Plan(
        shop_id=told.shop,
        archive=told.archive,
        master_key_file=told.master_key_file,
        options={name: _words(name, getattr(told, name)) for name in STEPS},
        sample=_checked({"version": "a", "sample": told.sample}, Shadow).sample,
        fresh_hours=told.fresh_hours,
    )
    with opened(told.work / told.shop) as folder, _ended_by_sigterm():
        run = partial(child.run, within=told.step_hours * 3600, holding=(folder.lock,))
        ending = Round(registry, folder, plan, run=run, now=_now).to_its_end()
    say(f"{told.shop}: {ending.outcome}")
    say(f"  {ending.says}")


def step_on(registry: Registry, told: argparse.Namespace, say: Say) -> None:
    """Take the next step of a trial, if it is time. Raises ServingRefused, Unavailable."""
    configure_logs("retraining")
    terms = _checked({name: getattr(told, name) for name in Terms.__struct_fields__}, Terms)

    in_file = None if told.clicks is None else clicked_in(told.clicks)

    def count(since: int, canary: str, served: str) -> Counted | None:
        if told.without_clicks:
            return None
        if in_file is not None:
            return of_two(in_file, canary, served)
        return click_counts.of_attribution(told.shop, since, _now(), canary, served)

    step = advance(registry, told.shop, terms, count=count, now=_now)
    say(f"{told.shop}: {step.what or 'nothing to do'}")
    say(f"  {step.why}")


def _words(name: str, text: str) -> Sequence[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise ServingRefused(f"--{name} {text}: {error}") from error


def _checked(values: dict[str, object], kind: type[T]) -> T:
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        raise ServingRefused(str(error)) from error


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Have SIGTERM raise SystemExit, so that a child is ended with its parent."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(number: int, _: object) -> None:
    raise SystemExit(128 + number)


def _now() -> int:
    return time.time_ns() // 1000
