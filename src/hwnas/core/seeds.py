"""Randomness as a function of (seed, purpose, step): nothing to save, so nothing to lose when a run is resumed."""

from __future__ import annotations

import hashlib

import numpy as np

LARGEST_SEED = 2**32 - 1


def seed_for(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed for one purpose, such as ("search", "path", step)."""
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def rng_for(seed: int, *purpose: str | int) -> np.random.Generator:
    """A numpy generator for one purpose."""
    return np.random.default_rng(seed_for(seed, *purpose))
