"""Training: from a prepared folder to a checkpoint."""
