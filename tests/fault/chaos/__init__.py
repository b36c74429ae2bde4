"""Seeded stories of faults, and an oracle that says how each must end.

A seed makes a story (:mod:`.story`): what shoppers do, in waves, and what breaks meanwhile. It is
played on real servers and workers (:mod:`.playing`), and what is left in the end is held against
the oracle (:mod:`.verdict`). ``python -m tests.fault.chaos --help`` says how to run them.
"""
