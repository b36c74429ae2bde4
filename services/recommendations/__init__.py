"""Profile and catalogue → ranked products, over gRPC."""
