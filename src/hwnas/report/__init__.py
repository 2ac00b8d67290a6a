"""Reads run directories; writes HTML and tables; no torch."""
