"""Events in, profiles out: the Faust worker that folds ``shopper-events`` into Redis."""
