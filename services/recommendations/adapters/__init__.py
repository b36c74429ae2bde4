"""One module for each outside system: Kafka's catalogue, Redis' profiles and trends, the model."""
