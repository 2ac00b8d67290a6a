"""Search spaces, one file each; no torch."""
