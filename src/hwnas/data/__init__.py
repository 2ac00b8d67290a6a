"""Images and their three splits: train, search, test."""
