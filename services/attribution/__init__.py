"""What was shown, what was bought after it, and what experiments say of both."""
