"""The embedded stack: Kafka, a Redis-compatible server and our services on one machine."""
