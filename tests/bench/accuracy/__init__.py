"""Our training beside a library's: the same file, the same ruler, only the trainer differs."""
