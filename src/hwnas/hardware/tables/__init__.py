"""Latency tables that others have measured and published, as cost models: no engine, no measurement."""
