"""Rules without I/O: what is let in, how rows become events."""
