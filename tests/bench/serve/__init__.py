"""How many recommendations a second, how late, for how much: ``make bench-serve``."""
