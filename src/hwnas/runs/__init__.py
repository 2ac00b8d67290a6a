"""Run directories: store, checkpoints, provenance; no torch."""
