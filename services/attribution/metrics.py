"""What attribution counts. Exact figures are in Redis; these are for seeing them move."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

RECORDS = Counter(
    "attribution_records_total", "Records by what became of them.", ["topic", "outcome"]
)
FIGURES = Counter(
    "attribution_figures_total",
    "What lists came to; what is taken back later is not subtracted.",
    ["scenario", "measure"],
)
BATCH_SECONDS = Histogram("attribution_batch_seconds", "Counting a batch, tries included.")
REFUSED_WRITES = Counter(
    "attribution_writes_refused_total", "Batches done again, as somebody else moved the fence."
)
LAG = Gauge("attribution_lag_records", "Records not counted yet.", ["topic", "partition"])
TRAIL_BYTES = Histogram(
    "attribution_trail_bytes",
    "Sizes of the trails that were written.",
    buckets=(100, 300, 1_000, 3_000, 10_000, 30_000, 100_000),
)

SCENARIOS = 200
"""Names of scenarios that are told apart, over all shops; others are ``other``."""


class ScenarioNames:
    """Keeps the metrics' labels to so many."""

    def __init__(self, most: int = SCENARIOS) -> None:
        self._known: set[str] = set()
        self._most = most

    def label(self, name: str) -> str:
        """The name, or ``other``."""
        if name not in self._known:
            if len(self._known) >= self._most:
                return "other"
            self._known.add(name)
        return name
