"""NASNet-A: counts, and timm's network and cells with the same weights."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytest
import torch
from timm.models.nasnet import CellStem0, CellStem1, FirstCell, NASNetALarge, NormalCell, ReductionCell0
from torch import nn

from hwnas.core.counting import count
from hwnas.core.errors import InputError
from hwnas.core.nasnet import NasnetCell
from hwnas.core.network import NetworkSpec
from hwnas.networks.catalogue import published
from hwnas.networks.nasnet import nasnet_a
from hwnas.nn.build import build


@pytest.mark.parametrize(
    ("name", "params", "macs"),
    [
        # Trainable parameters of Keras's NASNetMobile and NASNetLarge. The paper prints 5.3M and 564M MACs, 88.9M and
        # 23.8B, 3.3M.
        ("nasnet-a-mobile", 5_289_978, 563_638_816),
        ("nasnet-a-large", 88_753_150, 23_783_414_658),
        ("nasnet-a-cifar", 3_346_538, 544_333_312),
    ],
)
def test_counts(name: str, params: int, macs: int) -> None:
    counts = count(published(name).network())
    assert (counts.params, counts.macs) == (params, macs)


class TimmCells(nn.Module):
    """NASNet-A "4 @ F" of timm's cells: the mobile network, which timm does not have."""

    def __init__(self, filters: int, stem: int) -> None:
        super().__init__()
        f = filters // 24
        self.conv0 = nn.Sequential()
        self.conv0.add_module("conv", nn.Conv2d(3, stem, 3, 2, bias=False))
        self.conv0.add_module("bn", nn.BatchNorm2d(stem, eps=1e-3))
        self.cell_stem_0 = CellStem0(stem, f // 4, "same")
        self.cell_stem_1 = CellStem1(stem, f // 2, "same")
        before, current = f, 2 * f
        for stage in range(3):
            width = f * 2**stage
            if stage:
                reduction = ReductionCell0(current, width, current, width, "same")
                self.add_module(f"reduction_cell_{stage - 1}", reduction)
                # skip_reduction_layer_input=0: the next cell reads what the reduction cell read, not the one before it.
                before, current = current, 4 * width
            for cell in range(4):
                kind = FirstCell if cell == 0 else NormalCell
                half = width // 2 if cell == 0 else width
                self.add_module(f"cell_{4 * stage + cell}", kind(before, half, current, width, "same"))
                before, current = current, 6 * width
        self.last_linear = nn.Linear(current, 1000)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = self.conv0(x)
        before = self.cell_stem_0(first)
        x = self.cell_stem_1(first, before)
        for stage in range(3):
            if stage:
                x, before = self.get_submodule(f"reduction_cell_{stage - 1}")(x, before), x
            for cell in range(4):
                x, before = self.get_submodule(f"cell_{4 * stage + cell}")(x, before), x
        return self.last_linear(x.relu().mean((2, 3)))


def timm_name(name: str, repeats: int) -> str:
    """What timm calls one of our arrays."""
    name = (
        name.replace("stem.", "conv0.").replace("classifier.linear", "last_linear").replace("stem_cell", "cell_stem_")
    )
    if found := re.match(r"stage(\d)\.block(\d+)", name):
        stage, block = int(found[1]) - 1, int(found[2])
        cell = f"cell_{repeats * stage + block - (stage > 0)}"
        name = (f"reduction_cell_{stage - 1}" if stage and not block else cell) + name[found.end() :]
    name = re.sub(r"\.block(\d)\.(left|right)\.", r".comb_iter_\1_\2.", name)
    name = re.sub(r"\.sep(\d)\.bn", lambda m: f".bn_sep_{int(m[1]) + 1}", name)
    name = re.sub(r"\.sep(\d)\.(\w+)wise", lambda m: f".separable_{int(m[1]) + 1}.{m[2]}wise_conv2d", name)
    name = name.replace("previous.even", "path_1").replace("previous.odd", "path_2").replace("current.", "conv_1x1.")
    return name.replace("previous.", "conv_prev_1x1.")


def copied(module: nn.Module, network: NetworkSpec, repeats: int) -> nn.Module:
    """Our module with all arrays of timm's, none of which is left over."""
    with torch.device("meta"):
        ours = build(network)
    theirs = {name: value for name, value in module.state_dict().items() if not name.endswith("num_batches_tracked")}
    state = {}
    for name in ours.state_dict():
        there = timm_name(name, repeats)
        if there not in theirs:  # a batch-norm behind a factorised reduction
            there = there.replace("conv_prev_1x1.bn", "final_path_bn")
        state[name] = theirs.pop(there)
    assert not theirs
    ours.load_state_dict(state, assign=True)
    return ours.eval()


def batch_norms_that_do_something(module: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    uniform = partial(torch.empty(0).new_empty, dtype=torch.float32)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            for array, low, high in ((part.weight, 0.5, 1.5), (part.running_var, 0.5, 1.5), (part.bias, -0.3, 0.3),
                                     (part.running_mean, -0.3, 0.3)):  # fmt: skip
                array.data = uniform(array.shape).uniform_(low, high, generator=generator)
    return module.eval()


def agree(ours: nn.Module, theirs: nn.Module, size: int) -> None:
    images = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(size))
    with torch.inference_mode():
        found, expected = ours(images), theirs(images)
    assert float((found - expected).abs().max() / expected.abs().max()) < 1e-5


def test_large_is_timms() -> None:
    """At 97 pixels all maps that are reduced are even: 48, 24, 12, 6."""
    theirs = batch_norms_that_do_something(NASNetALarge())
    network = published("nasnet-a-large").network((3, 97, 97))
    agree(copied(theirs, network, 6), theirs, 97)


@pytest.fixture(scope="module")
def narrow() -> Iterator[nn.Module]:
    yield batch_norms_that_do_something(NASNetALarge(stem_size=12, num_features=192, num_classes=1000))


@pytest.mark.parametrize(
    "size", [97, 107, 113, 331]
)  # reduced maps: all even; 53, 27, 14, 7; 56, 28, 14, 7; as published
def test_large_is_timms_at_every_parity(narrow: nn.Module, size: int) -> None:
    layers = nasnet_a(6, 192, 12, imagenet=True, skip_reduction=True, count_include_pad=True)
    agree(copied(narrow, layers((3, size, size), 1000, 1.0), 6), narrow, size)


@pytest.mark.parametrize("size", [97, 107])
def test_mobile_is_made_of_timms_cells(size: int) -> None:
    network = published("nasnet-a-mobile").network((3, size, size))
    theirs = batch_norms_that_do_something(TimmCells(1056, 32))
    with pytest.raises(AssertionError):  # timm's averages count zeros
        agree(copied(theirs, network, 4), theirs, size)
    nodes = (
        replace(node, layer=replace(node.layer, count_include_pad=True)) if isinstance(node.layer, NasnetCell) else node
        for node in network.nodes
    )
    agree(copied(theirs, replace(network, nodes=tuple(nodes)), 4), theirs, size)


def test_what_a_cell_behind_a_reduction_reads() -> None:
    """The large network skips the reduction cell's own input (`skip_reduction_layer_input`), the others do not."""
    for name, previous in (("nasnet-a-large", 4), ("nasnet-a-mobile", 3), ("nasnet-a-cifar", 5)):
        inputs = {node.name: node.inputs for node in published(name).network().nodes}
        assert inputs["stage2.block1"] == ("stage2.block0", f"stage1.block{previous}")
        assert inputs["stage2.block2"] == ("stage2.block1", "stage2.block0")


def test_images_that_are_too_small() -> None:
    with pytest.raises(InputError, match="does not fit a map of 2"):
        count(published("nasnet-a-mobile").network((3, 2, 2)))
