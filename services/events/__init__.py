"""A door to Kafka for producers without a Kafka client, and one for a shop's history."""
