"""What the guide for shop operators tells, the code does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from services.attribution.domain.difference import ACTIVE
from services.attribution.domain.verdict import ALPHA, HARM_ALPHA, RATIO_ALPHA, Decision
from services.shared.experiments import ARMS, BUCKETS, Experiments, Harm, Outcome

GUIDE = (Path(__file__).parents[2] / "docs/guides/experiments.md").read_text()


def first_column(heading: str) -> set[str]:
    """The names in the first column of a section's table."""
    section = GUIDE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))


def test_the_file_of_the_guide_is_one() -> None:
    """It is taken as it stands, and a misspelt field in it is not."""
    (text,) = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)
    (experiment,) = msgspec.yaml.decode(text, type=Experiments).experiments
    assert {guard.harm for guard in experiment.guards} == set(get_args(Harm))
    assert experiment.metric.cap == 300
    with pytest.raises(msgspec.ValidationError, match="windowdays"):
        msgspec.yaml.decode(text.replace("window_days", "windowdays", 1), type=Experiments)


def test_the_guide_tells_every_decision_harm_and_outcome() -> None:
    """And no other."""
    assert first_column("Read the report") == set(get_args(Decision))
    assert first_column("Guards") == set(get_args(Harm))
    for outcome in get_args(Outcome):
        assert f"`{outcome}`" in GUIDE


def test_the_guide_tells_the_codes_numbers() -> None:
    """Of buckets, arms, buyers, and how often each alarm errs."""
    assert (ARMS, ACTIVE) == (8, 100)
    assert f"the layer's {BUCKETS:,} buckets" in GUIDE
    assert (ALPHA, HARM_ALPHA, RATIO_ALPHA) == (0.05, 0.05, 0.01)
    assert "two to eight; shares sum to 1" in GUIDE
    assert "before 100 of its shoppers have bought" in GUIDE
    assert len(re.findall(r"in at most 5 of 100 experiments", GUIDE)) == 2
    assert "by chance (1 in 100 experiments)" in GUIDE
