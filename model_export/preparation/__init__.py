"""From raw events to a prepared folder: cleaned, split, and with a report of what was lost."""
