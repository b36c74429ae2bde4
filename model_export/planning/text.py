"""A plan as a person reads it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from model_export.planning.learning import Foretold
from model_export.planning.plan import Plan

PHASES: Final = {
    "load": "loading Python, torch and the rest",
    "begin": "reading, and the first item vectors",
    "prepare": "packing the histories of each epoch",
    "step": "steps",
    "validate": "validating after each epoch",
    "refit": "training again, with the validation part",
}


def text(plan: Plan) -> str:
    """All of it, in sections; lines end without spaces."""
    sections = (_data(plan), _time(plan), _memory(plan), _accuracy(plan.accuracy))
    return "\n\n".join("\n".join(line.rstrip() for line in section) for section in sections)


def duration(seconds: float) -> str:
    """Two units at most, the smaller rounded."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"


def amount(size: float) -> str:
    """Bytes, in powers of a thousand."""
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def _data(plan: Plan) -> Iterator[str]:
    told, work = plan.settings, plan.work
    yield (
        f"{plan.data}: {plan.users:,} users, {plan.items:,} items, "
        f"{plan.interactions:,} interactions to learn from"
    )
    yield (
        f"  an epoch: {work.packed_rows:,.0f} rows of {told.max_length} places, "
        f"{100 * work.fill:.0f} % filled; {work.steps:,.0f} steps of {told.batch_rows} rows"
    )
    more = f" and {work.more} more as codes" if work.more else ""
    yield (
        f"  {work.epochs} epochs at most{more}, {work.parameters:,} parameters, {told.architecture}"
    )


def _time(plan: Plan) -> Iterator[str]:
    time, machine = plan.time, plan.machine
    yield f"Time, with {plan.settings.threads} thread{'s' * (plan.settings.threads > 1)}"
    for phase, seconds in time.phases.items():
        yield f"  {PHASES[phase]:40} {duration(seconds):>10}"
    yield f"  {'processor time, all':40} {duration(time.processor):>10}"
    yield (
        f"  {'by the clock':40} {duration(time.clock):>10}   "
        f"({duration(time.low)} to {duration(time.high)})"
    )
    yield f"  {'if it stops early, at the soonest':40} {duration(time.soonest):>10}"
    if machine.clock > 1.25:
        yield (
            f"  (the machine was busy when it was measured: {machine.clock:.1f} s by the clock for "
            "one of the processor's)"
        )
    yield (
        f"  {plan.note}"
        if plan.note
        else f"  measured on this kind of machine: {machine.processor}"
    )


def _memory(plan: Plan) -> Iterator[str]:
    memory = plan.memory
    yield "Memory and disk"
    yield f"  {'Python, torch and the rest':40} {amount(memory.base):>10}"
    yield f"  {'ids, interactions, content':40} {amount(memory.data):>10}"
    yield f"  {'the model and what training keeps':40} {amount(memory.model):>10}"
    yield f"  {'at its height: ' + memory.phase:40} {amount(memory.height):>10}"
    yield f"  {'memory, all':40} {amount(memory.peak):>10}"
    yield f"  {'bundle on disk':40} {amount(plan.bundle_bytes):>10}"
    yield f"  {'state on disk while it trains':40} {amount(plan.state_bytes):>10}"


def _accuracy(found: Foretold | None) -> Iterator[str]:
    yield "Accuracy"
    if found is None:
        yield "  no learning curve was named, so nothing can be said of accuracy: measure one with"
        yield "  'python -m model_export learning-curve' and name it with --learning-curve"
        return
    yield f"  by the learning curve of {found.data}: {found.formula}"
    yield f"  {'share of the data':>20} {'interactions':>14}   NDCG@10 (95 %)"
    for each in found.at:
        middle, low, high = each.ndcg
        beyond = "" if each.is_measured else "   not measured: the curve goes on"
        yield (
            f"  {100 * each.share:18.0f} % {each.interactions:14,}   "
            f"{middle:.4f} ({low:.4f} to {high:.4f}){beyond}"
        )
    yield f"  {found.verdict}"
