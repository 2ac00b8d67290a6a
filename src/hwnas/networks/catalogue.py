"""Every published network by name."""

from __future__ import annotations

from hwnas.core.errors import UnknownName
from hwnas.networks import (
    darts,
    mnasnet,
    mobilenet,
    nasnet,
    ofa,
    proxyless,
    pyramid_tree,
    resnet,
    shufflenet,
)
from hwnas.networks.published import Published

_FAMILIES: tuple[tuple[Published, ...], ...] = (
    mobilenet.PUBLISHED,
    mnasnet.PUBLISHED,
    proxyless.PUBLISHED,
    ofa.PUBLISHED,
    shufflenet.PUBLISHED,
    resnet.PUBLISHED,
    nasnet.PUBLISHED,
    darts.PUBLISHED,
    pyramid_tree.PUBLISHED,
)
NETWORKS: dict[str, Published] = {one.name: one for family in _FAMILIES for one in family}


def published(name: str) -> Published:
    """A published network.

    Raises:
        UnknownName: none of that name; the nearest is offered.
    """
    if name not in NETWORKS:
        raise UnknownName("network", name, NETWORKS)
    return NETWORKS[name]
