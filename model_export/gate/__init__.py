"""Which candidate may replace the current bundle, and why not. Needs no torch."""
