"""What exchanging a model costs those who call meanwhile."""
