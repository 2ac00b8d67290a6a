"""Published networks as data, and readers of other people's network files; no torch."""
