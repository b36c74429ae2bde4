"""Before a training: how long it takes, how much memory, and what accuracy to expect of it."""
