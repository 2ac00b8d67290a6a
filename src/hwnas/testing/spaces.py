"""The laws of a search space, as test classes that pytest runs: of every SearchSpace, and of every PathSpace besides.

In a test file of your own:

    @pytest.fixture
    def space():
        return MySpace()

    class TestMySpace(SpaceContract, PathSpaceContract):  # the first alone where the space is no chain of slots
        pass
"""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np

from hwnas.core.architecture import Architecture, Option
from hwnas.core.counted import MacsModel
from hwnas.core.counting import count
from hwnas.core.errors import InputError
from hwnas.core.network import NetworkSpec, Node, located_layers
from hwnas.core.primitives import Shape
from hwnas.core.protocols import PathSpace, SearchSpace, Slot
from hwnas.core.seeds import rng_for

ARCHITECTURES = 8  # drawn for each law
COUNTED = 20  # drawn for the counts
ENUMERATED = 10_000  # spaces of at most this size are walked through
SCORES_TOLERANCE = 1e-5  # of the largest score


class SpaceContract:
    """Every test takes a fixture `space`: a SearchSpace whose module can be imported in another process."""

    def test_canonical_is_idempotent(self, space: SearchSpace) -> None:
        """What a space proposes is canonical already."""
        for arch in drawn(space):
            assert space.choices.canonical(arch) == arch

    def test_samples_mutants_and_children_stay_inside(self, space: SearchSpace) -> None:
        """Sampling, mutation and crossing propose architectures of the space; a mutant is another one."""
        rng = rng_for(0, "contract", "moves")
        parents = drawn(space)
        for first, second in zip(parents, reversed(parents), strict=True):
            mutant, child = space.choices.mutate(first, rng), space.choices.cross(first, second, rng)
            assert mutant != first
            for arch in (first, mutant, child):
                assert space.choices.canonical(arch) == arch
                assert all(option in space.choices[choice].options for choice, option in arch.choices)
            for choice, option in child.choices:
                assert option in _inherited(space, choice, first, second), choice

    def test_json_round_trip(self, space: SearchSpace) -> None:
        """Architectures and their networks survive JSON, ids included."""
        for arch in drawn(space):
            again = Architecture.from_json(json.loads(json.dumps(arch.to_json())))
            assert again == arch and again.id == arch.id
            network = space.decode(arch)
            assert NetworkSpec.from_json(json.loads(json.dumps(network.to_json()))) == network

    def test_same_seed_in_another_process(self, space: SearchSpace) -> None:
        """Equal seeds propose equal architectures, in equal order, whatever the process."""
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as other:
            assert other.submit(_ids, space).result() == _ids(space)

    def test_another_spaces_architecture_is_refused(self, space: SearchSpace) -> None:
        """An architecture that names another space or version is no input."""
        (arch, *_) = drawn(space)
        try:
            space.decode(Architecture(f"not-{arch.space}", arch.choices))
        except InputError:
            return
        raise AssertionError(f"{space.choices.name} decodes an architecture of another space")

    def test_encoding_is_one_hot_and_tells_architectures_apart(self, space: SearchSpace) -> None:
        """One bit for every live choice, one column for every option, and equal rows only for equal architectures."""
        columns = sum(len(choice.options) for choice in space.choices.choices)
        rows: dict[bytes, Architecture] = {}
        for arch in drawn(space, COUNTED):
            row = space.choices.encode(arch)
            assert row.shape == (columns,) and row.dtype == np.float32
            assert sorted(set(row.tolist())) == [0.0, 1.0] and row.sum() == len(arch.choices)
            assert rows.setdefault(row.tobytes(), arch) == arch

    def test_size_is_the_number_of_architectures(self, space: SearchSpace) -> None:
        """The size is at most the product of the option counts; a small space is walked through, each id once."""
        size = space.choices.size()
        assert 1 <= size <= space.choices.size_with_inactive()
        if size <= ENUMERATED:
            every = list(space.choices.enumerate())
            assert len(every) == size == len({arch.id for arch in every})
            assert set(drawn(space, COUNTED)) <= set(every)

    def test_built_networks_have_the_parameters_and_macs_that_are_counted(self, space: SearchSpace) -> None:
        """Parameters, and half the operations that torch counts while the network runs."""
        for arch in drawn(space, COUNTED):
            check_counts(space, arch)


class PathSpaceContract:
    """Every test takes a fixture `space`: a PathSpace. Run it beside SpaceContract."""

    def test_choices_and_slots_are_the_same(self, space: PathSpace) -> None:
        """Every slot offers exactly the options of its choice, and every choice decides a slot."""
        slots = [place for place in space.chain() if isinstance(place, Slot)]
        assert {slot.choice for slot in slots} == {choice.name for choice in space.choices.choices}
        for slot in slots:
            assert tuple(slot.options) == space.choices[slot.choice].options, slot.position

    def test_options_of_a_slot_fit_its_place(self, space: PathSpace) -> None:
        """Every option of every slot reads what the place before it writes, and all write the same shape."""
        shape = space.input_shape
        for place in space.chain():
            layers = tuple(place.options.values()) if isinstance(place, Slot) else (place[1],)
            shapes = {_output_shape(shape, NetworkSpec(shape, (Node("layer", layer),))) for layer in layers}
            assert len(shapes) == 1, place
            shape = shapes.pop()

    def test_uniform_architectures_are_architectures(self, space: PathSpace) -> None:
        """The fixed networks belong to the space, have descriptions of their own and can be decoded."""
        uniform = space.uniform_architectures()
        assert uniform
        for arch in uniform.values():
            assert space.choices.canonical(arch) == arch
            assert space.decode(arch).input_shape == space.input_shape

    def test_extracted_networks_compute_what_the_supernet_does(self, space: PathSpace) -> None:
        """extract(a)(x) == supernet(x, a) in eval mode, on weights and statistics that are not those of the start."""
        import torch

        from hwnas.nn.supernet import PathSupernet

        supernet = PathSupernet(space, seed=0)
        images = torch.randn(4, *space.input_shape, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            for arch in drawn(space):
                supernet.train()
                supernet(2 * images + 1, arch)  # moves the running statistics of this path
            supernet.eval()
            for arch in drawn(space):
                alone = supernet.extract(arch).eval()
                expected = supernet(images, arch)
                error = (alone(images) - expected).abs().max() / expected.abs().max()
                assert error <= SCORES_TOLERANCE, f"{arch.id}: {float(error):.1e} of the largest score"
                for value in alone.parameters():
                    value.zero_()  # a copy: the supernet does not feel it
                assert torch.equal(supernet(images, arch), expected)

    def test_built_networks_have_the_parameters_of_extracted_ones(self, space: PathSpace) -> None:
        """build(decode(a)) and extract(a) have the same arrays, and as many parameters as are counted."""
        import torch

        from hwnas.nn.build import build
        from hwnas.nn.supernet import PathSupernet

        with torch.device("meta"):
            supernet = PathSupernet(space, seed=0)
            for arch in drawn(space):
                built, extracted = build(space.decode(arch)), supernet.extract(arch)
                assert [(k, v.shape) for k, v in built.state_dict().items()] == [
                    (k, v.shape) for k, v in extracted.state_dict().items()
                ]
                assert sum(value.numel() for value in built.parameters()) == count(space.decode(arch)).params

    def test_terms_add_up(self, space: PathSpace) -> None:
        """Constant + Σ terms[a] == cost(decode(a)), exactly where the cost is counted."""
        model = MacsModel()
        terms = model.terms(space)
        for arch in [*drawn(space), *space.uniform_architectures().values()]:
            assert terms.total(arch) == model.cost(space.decode(arch)).value, arch.id
            assert terms.least() <= terms.total(arch) <= terms.greatest()


def check_counts(space: SearchSpace, arch: Architecture) -> None:
    """The network, built on the meta device, has the parameters and runs the multiply-accumulates that are counted."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from hwnas.nn.build import build

    network = space.decode(arch)
    counts = count(network)
    with torch.device("meta"):
        built, image = build(network).eval(), torch.empty(1, *network.input_shape)
    # In training, torch takes batch-norm apart while it counts, which takes most of the time.
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        built(image)
    assert sum(value.numel() for value in built.parameters()) == counts.params, arch.id
    assert counter.get_total_flops() == 2 * counts.macs, arch.id


def drawn(space: SearchSpace, count: int = ARCHITECTURES) -> list[Architecture]:
    """A few architectures of every size, always the same ones."""
    rng: np.random.Generator = rng_for(0, "contract", space.choices.name)
    samplers = (space.choices.sample, space.choices.sample_spread)
    return [samplers[index % 2](rng) for index in range(count)]


def _ids(space: SearchSpace) -> list[str]:
    return [arch.id for arch in drawn(space)]


def _inherited(space: SearchSpace, choice: str, *parents: Architecture) -> set[Option]:
    """What a child may have: what a parent has there, in an equal place, or anything where no parent has anything."""
    places = next((p.choices for p in space.choices.equal_places if choice in p.choices), (choice,))
    found = {parent[name] for parent in parents for name in places if name in parent.as_dict()}
    return found or set(space.choices[choice].options)


def _output_shape(shape: Shape, network: NetworkSpec) -> Shape:
    (located,) = located_layers(network)
    assert located.input_shapes == (shape,)
    return located.output_shape
