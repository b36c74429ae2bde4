"""What a contender is told, and what it tells: one line of JSON for each record.

A contender is a program. Its only argument is a :class:`Task`; on its standard output stand an
:class:`Epoch` after each epoch and one :class:`Outcome` at last, and nothing else. It trains on
all but the last two items of each user, chooses its epoch by the last but one, and looks at the
last one once, with the weights of that epoch.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Final

import msgspec


class Task(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to train on, and for how long at most."""

    data: str
    """A file as :func:`tests.bench.accuracy.held_out.read` takes it."""
    seed: int
    threads: int
    epochs: int
    """At most so many."""
    patience: int
    """Stop after so many epochs in turn that were not better than the best."""
    length: int = 50
    """The newest items of a user that the model may see (L in the papers)."""
    options: Mapping[str, float | str] = {}
    """What differs from the contender's own settings, by the names it gives them."""


class Figures(msgspec.Struct, frozen=True):
    """Means over all users, of a ranking of all items."""

    recall: float
    """Recall@10; with one item held out it is the hit rate."""
    ndcg: float
    """NDCG@10."""


class Epoch(msgspec.Struct, frozen=True, tag="epoch"):
    """One epoch of training, and where it has led."""

    seconds: float
    """Of training alone."""
    processor_seconds: float
    """Of training alone, in all threads."""
    validating_seconds: float
    validation: Figures
    """History masked."""


class Outcome(msgspec.Struct, frozen=True, tag="outcome"):
    """The figures on the last items."""

    epoch: int
    """Whose weights they are of, from 1: the best on the validation items."""
    masked: Figures
    unmasked: Figures
    """What a user has already is ranked, too."""
    refit: Figures | None = None
    """History masked, by a model that has learned so long again, with the validation items."""
    blended: Figures | None = None
    """History masked, by the model and item-kNN, both without the validation items."""
    coded: Figures | None = None
    """History masked, the vectors read from product codes."""
    refit_blended: Figures | None = None
    """History masked, by the model and item-kNN, both with the validation items."""
    settings: Mapping[str, bool | float | str] = {}
    """By which it was trained, those that the data suggested and the contender's own."""


Record = Epoch | Outcome

_DECODER: Final[msgspec.json.Decoder[Record]] = msgspec.json.Decoder(Record)


def task_of(arguments: list[str]) -> Task:
    """The task that a contender was started with; raises ``SystemExit`` where there is none."""
    if len(arguments) != 1:
        raise SystemExit("give one argument, the task as JSON: see tests/bench/accuracy/contract")
    return msgspec.json.decode(arguments[0], type=Task)


def tell(record: Record) -> None:
    """Say a record at once, as the harness reads along."""
    sys.stdout.write(msgspec.json.encode(record).decode() + "\n")
    sys.stdout.flush()


def told(line: bytes) -> Record:
    """What a line says; raises ``msgspec.DecodeError`` where it is no record."""
    return _DECODER.decode(line)
