"""One path at a time: in compute, in memory, and in what an update moves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from hwnas.core.architecture import Architecture
from hwnas.nn.gates import Gates
from hwnas.nn.supernet import PathSupernet, frozen
from hwnas.spaces.macro import macro_space
from hwnas.spaces.proxyless import proxyless_space
from hwnas.training.device import TrainingDevice
from hwnas.training.fit import weight_step
from hwnas.training.recipe import Recipe, Schedule

SPACE = proxyless_space("proxyless-small", (1, 16, 16), 4, width=0.5)
CPU = TrainingDevice("cpu")


def uniform(option: str, instead: str = "") -> Architecture:
    """One option everywhere; `instead` in every second layer where there is such an option."""
    return SPACE.choices.architecture(
        {
            choice.name: instead if index % 2 and instead in choice.options else option
            for index, choice in enumerate(SPACE.choices.choices)
        }
    )


def images_and_labels(count: int = 16) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(count, 1, 16, 16, generator=generator), torch.arange(count) % 4


def owner(name: str) -> tuple[str, str]:
    """(place, option) of an array of the supernet: "places.3.k5e3.expand.conv.weight"."""
    _, place, option, *_ = name.split(".")
    return place, option


def on_path(supernet: PathSupernet, arch: Architecture) -> set[tuple[str, str]]:
    """The (place, option) of everything that one architecture uses."""
    index = {choice.name: place for place, choice in _choices_by_place()}
    used = {(str(place), "fixed") for place, module in enumerate(supernet.places) if "fixed" in module}
    return used | {(str(index[choice]), str(option)) for choice, option in arch.choices}


def _choices_by_place():
    places = [index for index, place in enumerate(SPACE.chain()) if not isinstance(place, tuple)]
    return list(zip(places, SPACE.choices.choices, strict=True))


def test_a_weight_step_moves_only_its_own_path() -> None:
    supernet = PathSupernet(SPACE, seed=0).train()
    recipe = Recipe(lr=0.5, weight_decay=0.1, momentum=0.9, batch_size=128)
    schedule = Schedule(supernet, recipe, steps=20)
    images, labels = images_and_labels()
    first, second = uniform("k3e6"), uniform("k5e3", instead="zero")
    for step, arch in enumerate([first] * 3 + [second] * 4 + [first], start=1):
        before = {name: value.clone() for name, value in supernet.state_dict().items()}
        weight_step(lambda x, arch=arch: supernet(x, arch), images, labels, schedule.at(step), recipe, CPU)
        used = on_path(supernet, arch)
        for name, value in supernet.state_dict().items():
            # Bit for bit: the momentum and the decay of paths that were used earlier must not move them either.
            assert torch.equal(value, before[name]) == (owner(name) not in used), (step, name)
        assert all(parameter.grad is None for parameter in supernet.parameters())


def test_a_path_is_an_argument_and_leaves_nothing_behind() -> None:
    supernet = PathSupernet(SPACE, seed=0).eval()
    images, _ = images_and_labels()
    first, second = uniform("k3e3"), uniform("k7e6")
    with torch.no_grad():
        alone = supernet(images, first)
        supernet(images, second)
        assert torch.equal(supernet(images, first), alone)
        assert not torch.allclose(supernet(images, second), alone)


def test_frozen_puts_back_what_it_found() -> None:
    supernet = PathSupernet(SPACE, seed=0)
    parameters = list(supernet.parameters())
    parameters[0].requires_grad_(False)
    with frozen(supernet):
        assert not any(parameter.requires_grad for parameter in parameters)
    assert [parameter.requires_grad for parameter in parameters] == [False] + [True] * (len(parameters) - 1)
    with pytest.raises(ZeroDivisionError), frozen(supernet):
        raise ZeroDivisionError
    assert parameters[1].requires_grad


def test_equal_seeds_start_with_equal_weights() -> None:
    a, b, c = (PathSupernet(SPACE, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not all(torch.equal(a[name], c[name]) for name in a)


def test_all_paths_with_one_hot_weights_are_the_path() -> None:
    supernet = PathSupernet(SPACE, seed=0).eval()
    images, _ = images_and_labels()
    arch = uniform("k5e3", instead="zero")
    weights = torch.zeros(len(SPACE.choices.choices), 7)
    for row, choice in enumerate(SPACE.choices.choices):
        weights[row, choice.options.index(arch[choice.name])] = 1.0
    with torch.no_grad():
        torch.testing.assert_close(supernet.forward_all_paths(images, weights), supernet(images, arch))


# memory


def saved_bytes(module: nn.Module, forward: Callable[[], Tensor]) -> int:
    """Bytes that autograd keeps for the backward pass: every storage once, parameters and their kin left out."""
    own = {value.untyped_storage().data_ptr() for value in module.state_dict().values()}
    kept: dict[int, tuple[int, Tensor]] = {}

    def pack(value: Tensor) -> Tensor:
        storage = value.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = (storage.nbytes(), value)  # held, so that no address is used twice
        return value

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
        loss = forward()
    assert loss.requires_grad
    return sum(size for size, _ in kept.values())


@pytest.mark.parametrize("arch", [uniform("k3e6"), uniform("k7e3", instead="zero"), uniform("k5e6")], ids=str)
def test_a_weight_step_keeps_what_training_the_path_alone_keeps(arch: Architecture) -> None:
    supernet = PathSupernet(SPACE, seed=0).train()
    alone = supernet.extract(arch).train()
    images, labels = images_and_labels()
    in_supernet = saved_bytes(supernet, lambda: functional.cross_entropy(supernet(images, arch), labels))
    on_its_own = saved_bytes(alone, lambda: functional.cross_entropy(alone(images), labels))
    assert on_its_own > 1e6
    assert in_supernet <= 1.02 * on_its_own


def test_an_architecture_step_keeps_about_one_path_and_not_all() -> None:
    supernet = PathSupernet(SPACE, seed=0).train()
    images, labels = images_and_labels()
    active, other = uniform("k3e6"), uniform("k7e3")
    rows = len(SPACE.choices.choices)

    def loss(scores: Tensor) -> Tensor:
        return functional.cross_entropy(scores, labels)

    one = saved_bytes(supernet, lambda: loss(supernet(images, active)))
    with frozen(supernet):
        switch = torch.tensor([1.0, 0.0]).repeat(rows, 1).requires_grad_(True)
        two = saved_bytes(supernet, lambda: loss(supernet.forward_two_paths(images, active, other, switch)))
        mixed = torch.full((rows, 7), 1 / 7).requires_grad_(True)
        every = saved_bytes(supernet, lambda: loss(supernet.forward_all_paths(images, mixed)))
    print(f"saved: one path {one:,}, two paths {two:,}, all paths {every:,} bytes")
    assert two <= 1.05 * one
    assert two < every / 4


def test_two_paths_leave_no_gradient_on_weights() -> None:
    supernet = PathSupernet(SPACE, seed=0).train()
    gates = Gates(SPACE.choices, np.random.default_rng(0))
    images, labels = images_and_labels()
    pairs = gates.sample_pairs(np.random.default_rng(1))
    switch = torch.tensor([1.0, 0.0]).repeat(len(gates.alpha), 1).requires_grad_(True)
    with frozen(supernet):
        scores = supernet.forward_two_paths(images, pairs.active, pairs.other, switch)
        functional.cross_entropy(scores, labels).backward()
    assert switch.grad is not None and (switch.grad != 0).any(dim=1).all()
    assert all(parameter.grad is None for parameter in supernet.parameters())


def test_a_path_of_equal_places_is_extracted_in_canonical_form() -> None:
    space = macro_space((1, 16, 16), 4, 0.25)
    supernet = PathSupernet(space, seed=0).eval()
    options = space.of_digits("11120120").as_dict() | {"stage2.block1": "identity", "stage2.block2": "mb6_k5"}
    path = Architecture(space.name, tuple(options.items()))
    canonical = space.choices.canonical(path)
    assert canonical != path
    images, _ = images_and_labels()
    with torch.no_grad():
        expected, raw = supernet(images, canonical), supernet(images, path)
        alone = supernet.extract(path).eval()(images)
    assert (alone - expected).abs().max() <= 1e-5 * expected.abs().max()
    assert (raw - expected).abs().max() > 0.01 * expected.abs().max()  # another place has other weights
