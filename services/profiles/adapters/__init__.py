"""One file for each outside system that the worker talks to."""
