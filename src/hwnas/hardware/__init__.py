"""How fast is a network? Engines, timing, latency models; no torch."""
