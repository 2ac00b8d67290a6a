"""Published networks against the same networks of torchvision and timm: arrays and outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision
from torch import nn

from hwnas.core.network import NetworkSpec
from hwnas.core.primitives import Shape
from hwnas.formats.arrays import expected_arrays
from hwnas.networks.catalogue import NETWORKS, published
from hwnas.nn.build import build

UsedArrays = Callable[[NetworkSpec, int], dict[str, np.ndarray]]
# timm has its own epsilon in MobileNetV3, ours is the authors' and torchvision's.
TIMM_OPTIONS: dict[str, dict[str, Any]] = {
    "mobilenetv3_large_100": {"bn_eps": 1e-3},
    "mobilenetv3_small_100": {"bn_eps": 1e-3},
}
TWINS = [
    *((name, "torchvision", one.torchvision) for name, one in NETWORKS.items() if one.torchvision),
    # timm registers NASNet's modules in another order: tests of their own hold it.
    *((name, "timm", one.timm) for name, one in NETWORKS.items() if one.timm and name != "nasnet-a-large"),
]


def twin_of(library: str, name: str) -> nn.Module:
    """The other library's module, its arrays without storage."""
    with torch.device("meta"):
        if library == "torchvision":
            module: nn.Module = torchvision.models.get_model(name, weights=None)
        else:
            module = timm.create_model(name, **TIMM_OPTIONS.get(name, {}))
    return module.eval()


def arrays_of_twin(module: nn.Module) -> dict[str, Shape]:
    """Shapes in the order of registration, which is the order of execution in all of these."""
    state = module.state_dict().items()
    return {name: tuple(value.shape) for name, value in state if not name.endswith("num_batches_tracked")}


def without_ones(shapes: dict[str, Shape]) -> list[Shape]:
    """timm's hidden layer of MobileNetV3 is a 1×1 convolution, ours and torchvision's a linear layer."""
    return [shape[:2] if shape[2:] == (1, 1) else shape for shape in shapes.values()]


def copy_arrays(arrays: dict[str, np.ndarray], module: nn.Module) -> None:
    """Gives a twin our arrays, in order."""
    shapes = arrays_of_twin(module)
    copied = {
        name: torch.from_numpy(array).reshape(shape)
        for (name, shape), array in zip(shapes.items(), arrays.values(), strict=True)
    }
    state = module.state_dict()  # It knows its version, which torchvision's MNASNet asks for.
    state.update({name: copied.get(name, torch.tensor(0)) for name in state})
    module.load_state_dict(state, assign=True)


def test_every_family_has_a_twin_that_is_compared() -> None:
    assert len(TWINS) == 21
    assert {name.split("-")[0] for name, *_ in TWINS} == {"mobilenet", "mnasnet", "shufflenet", "resnet"}


@pytest.mark.parametrize(("name", "library", "twin"), TWINS)
def test_a_twin_has_the_same_arrays_and_the_same_outputs(
    used_arrays: UsedArrays, name: str, library: str, twin: str
) -> None:  # fmt: skip
    theirs = twin_of(library, twin)
    own = published(name).network()
    assert without_ones(expected_arrays(own)) == without_ones(arrays_of_twin(theirs))

    with torch.device("meta"):  # Without drawing weights that are replaced at once.
        ours = build(own).eval()
    arrays = used_arrays(own, 3)
    copy_arrays(arrays, theirs)
    ours.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()}, assign=True)
    for side in (64, 75):
        images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(side))
        with torch.inference_mode():
            found, expected = ours(images), theirs(images)
        assert expected.std() > 0
        assert float((found - expected).abs().max() / expected.abs().max()) < 1e-5, side


@pytest.mark.parametrize("width", [0.35, 0.5, 0.75, 1.0, 1.25, 1.3, 1.4])
@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("mobilenet-v2", lambda width: torchvision.models.mobilenet_v2(width_mult=width)),
        ("mnasnet-b1", torchvision.models.MNASNet),
    ],
)
def test_widths_are_torchvisions(name: str, make: Callable[[float], nn.Module], width: float) -> None:
    with torch.device("meta"):
        theirs = make(width)
    assert list(expected_arrays(published(name).network(width=width)).values()) == list(arrays_of_twin(theirs).values())


@pytest.mark.parametrize(
    ("name", "width", "twin"),
    [
        ("mobilenet-v1", 1.25, "mobilenetv1_125"), ("mobilenet-v2", 0.35, "mobilenetv2_035"),
        ("mobilenet-v2", 1.4, "mobilenetv2_140"), ("mnasnet-a1", 0.5, "semnasnet_050"),
        ("mnasnet-a1", 0.75, "semnasnet_075"), ("mnasnet-a1", 1.4, "semnasnet_140"),
        ("mnasnet-b1", 1.4, "mnasnet_140"),
    ],
)  # fmt: skip
def test_widths_are_timms(name: str, width: float, twin: str) -> None:
    shapes = arrays_of_twin(twin_of("timm", twin))
    assert list(expected_arrays(published(name).network(width=width)).values()) == list(shapes.values())
