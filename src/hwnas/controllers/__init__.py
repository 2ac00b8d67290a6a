"""What to try next? One controller per file: each proposes architectures and learns from their scores."""
