"""Deep networks whose values stay in range."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from hwnas.core.network import NetworkSpec
from hwnas.nn.build import BuiltNetwork, build, load_arrays
from hwnas.testing.engines import used_arrays


def _settled(network: NetworkSpec) -> BuiltNetwork:
    module = build(network)
    load_arrays(module, used_arrays(network, 0))
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = 1.0
    with torch.no_grad():
        module.train()(torch.randn(4, *network.input_shape, generator=torch.Generator().manual_seed(2)))
    return module.eval()


@pytest.fixture
def settled_module() -> Callable[[NetworkSpec], BuiltNetwork]:
    """Modules in eval mode whose batch-norms have seen images: without, 54 residual sums leave the range of f32."""
    return _settled
