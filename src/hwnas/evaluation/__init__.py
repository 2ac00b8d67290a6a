"""How good is an architecture? One evaluator per file."""
