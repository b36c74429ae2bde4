"""Rules of attribution and of experiments; no I/O."""
