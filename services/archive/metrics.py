"""What the archive counts."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

EVENTS = Counter("archive_events_total", "Records by what became of them.", ["outcome"])
FLUSH_SECONDS = Histogram("archive_flush_seconds", "Putting what was gathered, tries included.")
FILES = Counter("archive_files_total", "Files put.")
BYTES = Counter("archive_file_bytes_total", "Bytes of files put.")
GATHERED = Gauge("archive_gathered_events", "Events in memory, not in a file yet.")
LAG = Gauge("archive_lag_events", "Events not archived yet.", ["topic", "partition"])
