"""Topics → Parquet: what happened, kept for figures, training and for building all anew."""
