"""The rules of recommending, without I/O."""
