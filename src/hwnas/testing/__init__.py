"""Contract suites that an outside author can run on a space, engine or strategy of his own."""
