"""How soon an event that was sent is in its shopper's profile, and in what the shop answers."""
