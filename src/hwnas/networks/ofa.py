"""Once-for-All: the largest, the smallest and a middle network of the three published supernets.

The networks that the authors specialised for devices are read from their files; of those, their README gives
note10_lat-8ms 79M MACs, where its own config at 160 pixels has 75.8M.
"""

from __future__ import annotations

from functools import partial

from hwnas.core.network import NetworkSpec
from hwnas.core.primitives import Shape
from hwnas.networks.published import Published
from hwnas.spaces.ofa_frame import OfaFrame, ofa_mobilenet_v3, ofa_proxyless

_SUPERNETS = (  # name, title, frame, width, the authors' name
    ("ofa-mobilenet-v3-w1.0", "MobileNetV3 w1.0", ofa_mobilenet_v3, 1.0, "ofa_mbv3_d234_e346_k357_w1.0"),
    ("ofa-mobilenet-v3-w1.2", "MobileNetV3 w1.2", ofa_mobilenet_v3, 1.2, "ofa_mbv3_d234_e346_k357_w1.2"),
    ("ofa-proxyless-w1.3", "ProxylessNAS w1.3", ofa_proxyless, 1.3, "ofa_proxyless_d234_e346_k357_w1.3"),
)
_SIZES = (  # name, title, kernel, expansion, depth
    ("largest", "largest (k7 e6 d4)", 7, 6, 4),
    ("smallest", "smallest (k3 e3 d2)", 3, 3, 2),
    ("k5e4d3", "k5 e4 d3", 5, 4, 3),
)


def _alike(
    frame: OfaFrame, kernel: int, expansion: int, depth: int, input_shape: Shape, classes: int, _width: float
) -> NetworkSpec:  # fmt: skip
    """The sub-network whose blocks are all alike; a unit that cannot be as deep has the blocks it can have."""
    units = [[(kernel, expansion)] * min(depth, unit.depth) for unit in frame.units]
    return frame.network(input_shape, classes, units)


PUBLISHED = tuple(
    Published(
        name=f"{name}-{size}",
        title=f"Once-for-All {title}, {size_title}",
        paper="Cai, Gan, Wang et al. 2020, Once-for-All: Train One Network and Specialize it for Efficient Deployment",
        origin=f"{origin} of github.com/mit-han-lab/once-for-all",
        resolution=224,
        layers=partial(_alike, frame(width), kernel, expansion, depth),
    )
    for name, title, frame, width, origin in _SUPERNETS
    for size, size_title, kernel, expansion, depth in _SIZES
)
