"""Evaluation: full rankings beside baselines. Needs no torch."""
