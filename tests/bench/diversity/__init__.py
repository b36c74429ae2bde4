"""What variety costs and brings: the product's re-ranker, and another that it was chosen over."""
