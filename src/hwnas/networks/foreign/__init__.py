"""Readers of other people's network files: what a file is, and which reader knows it."""

from hwnas.networks.foreign.found import ForeignNetwork
from hwnas.networks.foreign.reading import is_foreign, read_foreign

__all__ = ["ForeignNetwork", "is_foreign", "read_foreign"]
