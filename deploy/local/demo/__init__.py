"""The demo: the whole path on a real shop's catalogue and purchases, explained as it goes."""
