"""What turns a history into query vectors, and products into vectors, on torch."""
