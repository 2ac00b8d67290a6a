"""What a foreign file is read as."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hwnas.core.network import NetworkSpec


@dataclass(frozen=True, slots=True)
class ForeignNetwork:
    """A network from somebody else's file.

    Args:
        network: as data.
        format: what kind of file it was, for a person: "Once-for-All MobileNetV3 JSON".
        weight_names: for every array of ours the names that it may have in their checkpoints (releases differ).
        notes: what the file says that is no part of a network, one sentence each: dropout.
    """

    network: NetworkSpec
    format: str
    weight_names: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...] = ()
