"""Random arrays for measuring, and the check that arrays belong to a network."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from hwnas.core.errors import InputError
from hwnas.core.network import NetworkSpec
from hwnas.formats.arrays import check_arrays, expected_arrays, random_arrays
from hwnas.networks.catalogue import published
from hwnas.nn.build import build, load_arrays
from hwnas.spaces.proxyless import proxyless_space

SMALL = proxyless_space("proxyless-small", (3, 32, 32), 10)
NETWORK = SMALL.decode(SMALL.choices.sample(np.random.default_rng(0)))


def test_random_arrays_are_those_expected_and_depend_on_the_seed() -> None:
    arrays, same, other = random_arrays(NETWORK, 1), random_arrays(NETWORK, 1), random_arrays(NETWORK, 2)
    assert {name: array.shape for name, array in arrays.items()} == expected_arrays(NETWORK)
    check_arrays(NETWORK, arrays)
    for name, array in arrays.items():
        assert array.dtype == np.float32
        assert np.array_equal(array, same[name])
        assert np.array_equal(array, other[name]) == (array.ndim == 1)
        if array.ndim == 1:
            filled = {"weight": 1.0, "running_var": None}.get(name.rsplit(".", 1)[1], 0.0)
            assert (array > 0.1).all() if filled is None else (array == filled).all()


def test_running_variances_are_about_those_of_the_values_that_are_read() -> None:
    module = build(NETWORK).eval()
    load_arrays(module, random_arrays(NETWORK, 0))
    ratios: list[float] = []
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.register_forward_pre_hook(
                lambda norm, inputs: ratios.append(float(inputs[0].square().mean() / norm.running_var.mean()))
            )
    with torch.inference_mode():
        module(torch.randn(2, *NETWORK.input_shape, generator=torch.Generator().manual_seed(0)))
    assert ratios and 0.1 < min(ratios) and max(ratios) < 4


@pytest.mark.parametrize("option", ["k3e3", "k7e6"])
def test_no_denormal_number_appears_in_a_deep_network(option: str) -> None:
    space = proxyless_space("proxyless-imagenet", (3, 64, 64), 1000)
    _assert_healthy(space.decode(space.uniform_architectures()[f"{option}, depth 4"]))


@pytest.mark.parametrize("name", ["nasnet", "darts", "tree"])
def test_no_denormal_number_appears_in_cells(cell_network: Callable[[str], NetworkSpec], name: str) -> None:
    _assert_healthy(cell_network(name))


@pytest.mark.parametrize("name", ["proxyless-cifar", "nasnet-a-cifar", "shufflenet-v2-x1.0", "resnet-50"])
def test_published_networks_stay_of_one_size(name: str) -> None:
    _assert_healthy(published(name).network((3, 32, 32)))


def _assert_healthy(network: NetworkSpec) -> None:
    module = build(network).eval()
    load_arrays(module, random_arrays(network, 0))
    value = torch.rand(1, *network.input_shape, generator=torch.Generator().manual_seed(0))
    outputs: list[torch.Tensor] = []
    handles = [
        part.register_forward_hook(lambda _, __, output: outputs.append(output.clone()))
        for part in module.modules()
        if isinstance(part, (nn.Conv2d, nn.Linear))
    ]
    with torch.inference_mode():
        outputs.append(module(value))
    assert len(outputs) == len(handles) + 1
    for output in outputs:
        assert output.isfinite().all() and output.abs().max() < 1e4
        tiny = (output != 0) & (output.abs() < torch.finfo(torch.float32).tiny)
        assert not tiny.any()
        assert 1e-3 < output.std() < 1e4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stem.conv.weight": None}, r"missing 1: stem\.conv\.weight"),
        ({"stem.bn.num_batches_tracked": np.zeros((), np.float32)}, r"left over 1: stem\.bn\.num_batches_tracked"),
        (
            {"stem.bn.bias": np.zeros(3, np.float32)},
            r"another shape 1: stem\.bn\.bias \(shape \(3,\), expected \(16,\)\)",
        ),
        ({"stem.bn.bias": np.zeros(16)}, "'stem.bn.bias' is float64, expected float32"),
        ({"stem.bn.bias": np.full(16, np.nan, np.float32)}, "'stem.bn.bias' holds NaN"),
        ({"stem.bn.bias": np.full(16, np.inf, np.float32)}, "'stem.bn.bias' holds NaN or inf"),
    ],
)
def test_arrays_that_do_not_belong(change: dict[str, np.ndarray | None], message: str) -> None:
    merged = {**random_arrays(NETWORK, 0), **change}
    with pytest.raises(InputError, match=message):
        check_arrays(NETWORK, {name: array for name, array in merged.items() if array is not None})
