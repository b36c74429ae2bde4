"""What the worker counts."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

EVENTS = Counter("events_total", "Events by what became of them.", ["outcome"])
FOLD_SECONDS = Histogram("fold_seconds", "From a batch's turn to its end, tries included.")
BATCH_EVENTS = Histogram(
    "batch_events", "Events in a batch.", buckets=[1, 4, 16, 64, 256, 1024, 4096]
)
LAG_EVENTS = Gauge("lag_events", "Events not yet safe.", ["topic", "partition"])
