"""The rules of folding events into profiles: pure, no clock, no I/O."""
