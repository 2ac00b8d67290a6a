"""The DARTS cell against a plain torch version of the published description, weights copied."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from hwnas.core.darts import DartsCell
from hwnas.core.errors import InputError
from hwnas.core.network import NetworkSpec, Node
from hwnas.networks.darts import CONCAT, NORMAL_BLOCKS, REDUCTION_BLOCKS
from hwnas.nn.build import build_layer, load_arrays

EVERY_OPERATION = ((0, "sep5", 1, "dil5"), (1, "avg3", 2, "dil3"), (0, "skip", 1, "sep3"), (0, "max3", 4, "avg3"))


def conv_bn(*convolutions: nn.Conv2d) -> list[nn.Module]:
    return [nn.ReLU(), *convolutions, nn.BatchNorm2d(convolutions[-1].out_channels)]


def separable(channels: int, kernel: int, stride: int, dilation: int = 1) -> list[nn.Module]:
    padding = dilation * (kernel - 1) // 2
    depthwise = nn.Conv2d(
        channels, channels, kernel, stride, padding, dilation=dilation, groups=channels, bias=False
    )  # fmt: skip
    return conv_bn(depthwise, nn.Conv2d(channels, channels, 1, bias=False))


class FactorizedReduce(nn.Module):
    def __init__(self, before: int, channels: int) -> None:
        super().__init__()
        self.even = nn.Conv2d(before, channels // 2, 1, stride=2, bias=False)
        self.odd = nn.Conv2d(before, channels // 2, 1, stride=2, bias=False)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.relu()
        return self.bn(torch.cat([self.even(x), self.odd(x[:, :, 1:, 1:])], dim=1))


def operation(name: str, channels: int, stride: int) -> nn.Module:
    match name:
        case "skip":
            return nn.Identity() if stride == 1 else FactorizedReduce(channels, channels)
        case "max3":
            return nn.MaxPool2d(3, stride, padding=1)
        case "avg3":
            return nn.AvgPool2d(3, stride, padding=1, count_include_pad=False)
        case _ if name.startswith("sep"):
            kernel = int(name[3])
            return nn.Sequential(*separable(channels, kernel, stride), *separable(channels, kernel, 1))
        case _:
            return nn.Sequential(*separable(channels, int(name[3]), stride, dilation=2))


class Cell(nn.Module):
    """The published cell: states s0 (older) and s1 (newer)."""

    def __init__(self, layer: DartsCell, older: int, newer: int, older_is_larger: bool) -> None:
        super().__init__()
        channels = layer.channels
        plain = nn.Sequential(*conv_bn(nn.Conv2d(older, channels, 1, bias=False)))
        self.preprocess0 = FactorizedReduce(older, channels) if older_is_larger else plain
        self.preprocess1 = nn.Sequential(*conv_bn(nn.Conv2d(newer, channels, 1, bias=False)))
        self.layer = layer
        self.operations = nn.ModuleList(
            operation(name, channels, 2 if layer.reduction and state < 2 else 1)
            for left, left_name, right, right_name in layer.blocks
            for state, name in ((left, left_name), (right, right_name))
        )

    def forward(self, newer: torch.Tensor, older: torch.Tensor) -> torch.Tensor:
        states = [self.preprocess0(older), self.preprocess1(newer)]
        for index, (left, _, right, _) in enumerate(self.layer.blocks):
            a, b = self.operations[2 * index : 2 * index + 2]
            states.append(a(states[left]) + b(states[right]))
        return torch.cat([states[state] for state in self.layer.concat], dim=1)


@pytest.mark.parametrize("reduction", [False, True])
@pytest.mark.parametrize("older_is_larger", [False, True])
@pytest.mark.parametrize("blocks", [NORMAL_BLOCKS, REDUCTION_BLOCKS, EVERY_OPERATION])
def test_it_computes_what_the_paper_describes(
    blocks: tuple[tuple[int, str, int, str], ...], older_is_larger: bool, reduction: bool
) -> None:
    layer = DartsCell(6, blocks, CONCAT, reduction)
    shapes = ((8, 12, 12), (10, 24, 24) if older_is_larger else (10, 12, 12))
    ours = build_layer(layer, shapes).eval()
    theirs = Cell(layer, shapes[1][0], shapes[0][0], older_is_larger).eval()
    rng = np.random.default_rng(1)
    arrays = {}
    for name, value in ours.state_dict().items():
        array = rng.standard_normal(tuple(value.shape)).astype(np.float32)
        arrays[name] = 0.5 + np.abs(array) if name.endswith(("running_var", "bn.weight")) else array
    load_arrays(ours, arrays)
    state = {name: value for name, value in theirs.state_dict().items() if not name.endswith("num_batches_tracked")}
    # Both list their arrays in the order of the published module: preprocessing, then the operations.
    assert len(state) == len(arrays)
    for value, array in zip(state.values(), arrays.values(), strict=True):
        assert value.shape == array.shape
        value.copy_(torch.from_numpy(array))
    images = [torch.randn(2, *shape) for shape in shapes]
    with torch.inference_mode():
        torch.testing.assert_close(ours(*images), theirs(*images), rtol=1e-5, atol=1e-5)


def test_odd_maps_come_out_rounded_up() -> None:
    # The published code cannot run them; here the factorised reduction pads its odd half, as NASNet's does.
    module = build_layer(DartsCell(4, REDUCTION_BLOCKS, CONCAT, True), ((8, 7, 7), (8, 13, 13))).eval()
    assert module(torch.randn(1, 8, 7, 7), torch.randn(1, 8, 13, 13)).shape == (1, 16, 4, 4)


def test_it_reads_two_values() -> None:
    with pytest.raises(InputError, match="reads 2 value"):
        build_layer(DartsCell(4, NORMAL_BLOCKS, CONCAT), ((8, 7, 7),))


def test_two_nodes_may_read_the_same_value() -> None:
    network = NetworkSpec((3, 8, 8), (Node("a", DartsCell(4, NORMAL_BLOCKS, CONCAT), ("input", "input")),))
    assert NetworkSpec.from_json(network.to_json()) == network
