"""``python -m model_export plan``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from model_export.errors import DataRefused
from model_export.planning import facts, learning, machine
from model_export.planning.calibrate import calibrate
from model_export.planning.facts import Facts
from model_export.planning.machine import Machine
from model_export.planning.options import FIGURES
from model_export.planning.plan import plan
from model_export.planning.text import text
from model_export.settings import train_settings
from model_export.training.processes import processes
from model_export.training.rules import derived


def plan_told(
    told: argparse.Namespace, given: Mapping[str, Any], say: Callable[[str], None]
) -> str:
    """The plan, or what was measured, as text. Raises DataRefused and BadSetting.

    ``given`` are settings of the training.
    """
    settings = train_settings(given)
    device = processes(told.device).device.type
    if told.calibrate:
        measured = calibrate(threads=settings.threads, device=device, say=say)
        machine.keep(measured, told.machine)
        if not _is_asked(told):
            return _calibrated(told, measured)
    found = _facts(told)
    settings = train_settings({**derived(found.told), **given})
    constants, note = machine.machine_for(told.machine, threads=settings.threads, device=device)
    curve = learning.read_curve(told.learning_curve) if told.learning_curve else None
    accuracy = learning.foretell(curve, found.told.interactions, told.gain) if curve else None
    made = plan(found, settings, constants, note=note, accuracy=accuracy)
    return msgspec.json.encode(made).decode() if told.json else text(made)


def _is_asked(told: argparse.Namespace) -> bool:
    """Whether there is something to plan, and not only a machine to measure."""
    return told.data is not None or any(getattr(told, name) is not None for name in FIGURES)


def _facts(told: argparse.Namespace) -> Facts:
    figures = [getattr(told, name) for name in FIGURES]
    if told.data is not None:
        if any(figure is not None for figure in figures):
            raise DataRefused("name a prepared folder or tell --users, --items, --events; not both")
        return facts.measured(told.data)
    if any(figure is None for figure in figures):
        raise DataRefused("name a prepared folder, or tell all of --users, --items and --events")
    return facts.assumed(*figures, lines=told.lines, repeats=told.repeats)


def _calibrated(told: argparse.Namespace, measured: Machine) -> str:
    if told.json:
        return msgspec.json.encode(measured).decode()
    return (
        f"{told.machine}: {measured.processor}, {measured.cores} cores, {measured.threads} "
        f"thread{'s' * (measured.threads > 1)} on {measured.device}; a run that was not fitted "
        f"took {100 * measured.error:.0f} % more or less than its estimate"
    )
