"""Reads run directories; writes HTML, drawings and tables; no torch."""
