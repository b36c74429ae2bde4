"""From a checkpoint to a model bundle, and the proof that it is one."""
