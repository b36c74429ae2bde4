"""Settings that nobody told come from figures of the data, by rules that anybody can check."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from model_export.settings import DERIVED, TrainSettings
from model_export.training.rules import derived
from model_export.training.statistics import Statistics

MIDDLING = Statistics(
    users=20_000,
    items=10_000,
    interactions=150_000,
    long_history=43,
    repeats=0.0,
    has_content=False,
)


def settings(**told: Any) -> TrainSettings:
    """What is derived from the middling data with something changed."""
    return TrainSettings(**derived(msgspec.structs.replace(MIDDLING, **told)))


def test_what_is_derived_is_what_the_command_line_says_so_of() -> None:
    """Its help says of these that the data decides."""
    assert set(derived(MIDDLING)) == DERIVED


@pytest.mark.parametrize(
    ("interactions", "dimensions"), [(49_999, 64), (50_000, 128), (10_000_000, 128)]
)
def test_more_interactions_fill_more_dimensions(interactions: int, dimensions: int) -> None:
    """Of a small shop twice as many would be learned by heart."""
    assert settings(interactions=interactions).dimensions == dimensions


@pytest.mark.parametrize(("long", "length"), [(1, 10), (20, 20), (43, 50), (400, 100)])
def test_rows_are_as_long_as_long_histories(long: int, length: int) -> None:
    """To the next ten; no longer than what a profile keeps."""
    assert settings(long_history=long).max_length == length


def test_smaller_data_is_seen_more_often() -> None:
    """For about as many steps, in bounds."""
    epochs = [settings(interactions=size).epochs for size in (5_000, 150_000, 600_000, 9_000_000)]
    assert epochs == sorted(epochs, reverse=True)
    assert (epochs[0], epochs[-1]) == (40, 8)


def test_ids_of_few_interactions_are_not_relied_on() -> None:
    """A catalogue whose products were hardly touched is learned from what is known of them."""
    assert settings(items=10_000, interactions=80_000).id_dropout < 0.2
    assert settings(items=10_000, interactions=79_999).id_dropout > 0.5


def test_buying_again_has_a_head_of_its_own() -> None:
    """Where it is seen."""
    assert not settings(repeats=0.019).recall
    assert settings(repeats=0.02).recall
