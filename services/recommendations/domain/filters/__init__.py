"""Filters and conditions of boosts, written in CEL and computed on columns."""
