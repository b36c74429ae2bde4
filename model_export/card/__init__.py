"""The model card: what a bundle is, how good it is for whom, and where its limits are."""
