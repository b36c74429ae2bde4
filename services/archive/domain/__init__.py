"""What is gathered and when it is due; no I/O."""
