"""Published and fixed networks as data; no torch."""
