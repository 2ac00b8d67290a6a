"""Zero-cost scores: each by hand on a network small enough, and how they stand beside evaluators."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from hwnas.compose import toy_data
from hwnas.core.architecture import Architecture
from hwnas.core.errors import Diverged, EvaluationFailed, InputError, UnknownName
from hwnas.core.layers import Classifier, ConvBnAct
from hwnas.core.network import NetworkSpec, Node, lower
from hwnas.core.primitives import Activation, Primitive
from hwnas.core.protocols import Silence
from hwnas.core.trial import Quality, Rating
from hwnas.data.images import ImageData
from hwnas.evaluation.zero_cost import SCORES, Batch, ZeroCost, _Codes, gradient_norm, naswot, snip, synflow
from hwnas.nn.build import BuiltNetwork, build, initialise
from hwnas.spaces.macro import macro_space
from hwnas.spaces.ofa import ofa_space
from hwnas.spaces.toy import ToySpace
from hwnas.strategies.ranking import foremost
from hwnas.training.device import TrainingDevice

CPU = TrainingDevice("cpu")
SPACE = ToySpace()
ARCH = SPACE.optimum


@pytest.fixture(scope="module")
def data() -> ImageData:
    return toy_data()


def linear(values: list[list[float]]) -> nn.Linear:
    layer = nn.Linear(len(values[0]), len(values), bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(values))
    return layer


class Switch(nn.Module):
    """ReLU as built networks have it: a function."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return functional.relu6(values, inplace=True)


def is_rectifier(primitive: Primitive) -> bool:
    return isinstance(primitive, Activation) and "sigmoid" not in primitive.kind


# naswot


def test_naswot_of_three_codes_by_hand() -> None:
    # Codes 110, 100, 011: they agree in 2 of 3 places (1 and 2), 1 (1 and 3), 0 (2 and 3).
    images = torch.tensor([[1.0, 2.0, -1.0], [3.0, -1.0, -2.0], [-1.0, 1.0, 5.0]])
    kernel = torch.tensor([[3.0, 2.0, 1.0], [2.0, 3.0, 0.0], [1.0, 0.0, 3.0]])
    determinant = 3 * (9 - 0) - 2 * (6 - 0) + 1 * (0 - 3)
    assert torch.linalg.det(kernel).item() == pytest.approx(determinant)
    assert naswot(Switch(), Batch(images, torch.zeros(3))) == pytest.approx(math.log(determinant))


def test_naswot_adds_up_the_layers() -> None:
    # The second layer reads -x of the first: images (1) and (-1) give codes 1, 0 and then 0, 0.
    network = nn.Sequential(Switch(), linear([[-1.0]]), Switch())
    found = naswot(network, Batch(torch.tensor([[1.0], [-1.0]]), torch.zeros(2)))
    assert found == pytest.approx(math.log(2 * 2 - 1 * 1))


def test_naswot_sees_every_rectifier_and_leaves_the_values_alone() -> None:
    space = ofa_space("ofa-mobilenet-v3", False, (3, 64, 64), 10)
    spec = space.decode(next(space.choices.enumerate()))
    network = build(spec).train()
    images = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert math.isfinite(naswot(network, Batch(images, torch.zeros(4))))
    with torch.no_grad():
        scores = network(images)
        with _Codes() as codes:
            assert torch.equal(network(images), scores)
    read = sum(math.prod(one.shape) for one in lower(spec).operations if is_rectifier(one.primitive))
    assert codes.kernel is not None and codes.kernel.diagonal().tolist() == [read] * 4


def test_without_a_rectifier_there_is_no_naswot() -> None:
    with pytest.raises(EvaluationFailed, match="needs a network with ReLU"):
        naswot(linear([[1.0]]), Batch(torch.ones(2, 1), torch.zeros(2)))


# synflow


def test_synflow_of_two_linear_layers_by_hand() -> None:
    # |W2|·|W1|·1 = (2·(1 + 2) + 1·(3 + 4)) = 13, and every layer hands the whole flow on: 2 · 13.
    network = nn.Sequential(linear([[1.0, -2.0], [3.0, 4.0]]), Switch(), linear([[-2.0, 1.0]]))
    assert synflow(network, Batch(torch.full((5, 2), -7.0), torch.zeros(5))) == pytest.approx(26.0)


def test_synflow_of_a_built_network_is_the_flow_times_the_layers() -> None:
    # A chain of convolutions without biases: each of the five layers with weights hands the whole flow on.
    network = build(SPACE.decode(ARCH))
    expected = build(SPACE.decode(ARCH)).double().eval()
    with torch.no_grad():
        for parameter in expected.parameters():
            parameter.abs_()
        flow = expected(torch.ones(1, *SPACE.input_shape, dtype=torch.float64)).sum().item()
    layers = sum(isinstance(part, (nn.Conv2d, nn.Linear)) for part in network.modules())
    found = synflow(network, Batch(torch.randn(2, *SPACE.input_shape), torch.zeros(2)))
    assert layers == 5 and found == pytest.approx(layers * flow)


def test_synflow_does_not_saturate() -> None:
    def twice(weight: float) -> float:
        return synflow(nn.Sequential(linear([[weight]]), Switch()), Batch(torch.ones(1, 1), torch.zeros(1)))

    assert twice(100.0) == pytest.approx(100.0)  # ReLU6 would stop at 6, and give no gradient


# gradients


def test_snip_of_a_linear_layer_by_hand() -> None:
    # Scores are (ln 3, 0), so p = (3/4, 1/4); with label 0 the gradient of row c is (p_c − [c = 0])·x.
    network, image = linear([[math.log(3.0), 0.0], [0.0, 2.0]]), torch.tensor([[1.0, 0.0]])
    batch = Batch(image, torch.tensor([0]))
    assert snip(network, batch) == pytest.approx(math.log(3.0) * 0.25)
    assert gradient_norm(network, batch) == pytest.approx(math.hypot(0.25, 0.25))


def built(activation: str = "relu6") -> BuiltNetwork:
    nodes = (Node("stem", ConvBnAct(8, 3, activation=activation)), Node("classifier", Classifier(3)))
    network = build(NetworkSpec((3, 8, 8), nodes))
    initialise(network, 3)
    return network


def test_gradients_are_those_of_torch() -> None:
    generator = torch.Generator().manual_seed(1)
    images, labels = torch.randn(6, 3, 8, 8, generator=generator), torch.arange(6) % 3
    reference = built().train()
    functional.cross_entropy(reference(images), labels).backward()
    layers = [part.weight for part in reference.modules() if isinstance(part, (nn.Conv2d, nn.Linear))]
    norms = sum(weight.grad.norm().item() for weight in layers)
    products = sum((weight * weight.grad).abs().sum().item() for weight in layers)
    assert len(layers) == 2
    assert gradient_norm(built(), Batch(images, labels)) == pytest.approx(norms, rel=1e-5)
    assert snip(built(), Batch(images, labels)) == pytest.approx(products, rel=1e-5)


# as a ranker


@pytest.mark.parametrize("name", SCORES)
def test_the_seed_decides_everything_and_nothing_global_moves(data: ImageData, name: str) -> None:
    def ranker(seed: int) -> ZeroCost:
        return ZeroCost(SPACE, data, name, seed=seed, device=CPU, images=16)

    before = torch.get_rng_state()
    archs = list(SPACE.choices.enumerate())[:3]
    forwards, backwards, other = ranker(0), ranker(0), ranker(1)
    there = {arch: forwards.evaluate(arch) for arch in archs}
    assert {arch: backwards.evaluate(arch) for arch in reversed(archs)} == there
    assert other.evaluate(archs[0]) != there[archs[0]] and len(set(there.values())) == 3
    assert {(one.images, one.evaluator) for one in there.values()} == {(16, name)}
    assert torch.equal(torch.get_rng_state(), before)


def test_a_score_that_is_unknown_offers_the_nearest(data: ImageData) -> None:
    with pytest.raises(UnknownName, match="did you mean 'synflow'"):
        ZeroCost(SPACE, data, "sinflow", seed=0, device=CPU)


def test_images_that_cannot_be_told_apart_name_the_architecture(data: ImageData) -> None:
    ranker = ZeroCost(SPACE, data, "naswot", seed=0, device=CPU, images=4)
    ranker._batch = Batch(torch.zeros(4, 1, 4, 32), torch.zeros(4, dtype=torch.int64))
    with pytest.raises(Diverged, match=rf"architecture {ARCH.id}: naswot: the score is -inf"):
        ranker.evaluate(ARCH)


def test_networks_for_other_images_are_refused(data: ImageData) -> None:
    space = macro_space((3, 32, 32), 2)
    with pytest.raises(InputError, match=r"networks of space macro@1 read images of \(3, 32, 32\), and those of toy"):
        ZeroCost(space, data, "snip", seed=0, device=CPU).evaluate(next(space.choices.enumerate()))


def test_ratings_and_qualities_are_ranked_alike() -> None:
    assert Rating(2.0, 1, "snip").merit > Rating(-3.0, 1, "snip").merit
    assert Quality(0.5, 0.1, 1, "table").merit > Quality(0.7, 0.9, 1, "table").merit
    for merit in (math.nan, math.inf):
        with pytest.raises(Diverged, match="snip: the score is"):
            Rating(merit, 1, "snip")


def test_the_foremost_are_those_of_the_highest_score_without_those_that_have_none() -> None:
    archs = list(SPACE.choices.enumerate())[:5]

    class Known:
        def evaluate(self, arch: Architecture) -> Rating:
            return Rating({0: 1.0, 1: 9.0, 2: math.inf, 3: 4.0, 4: -2.0}[archs.index(arch)], 1, "known")

    assert foremost(archs, Known(), 3, "random", Silence()) == [archs[1], archs[3], archs[0]]
    with pytest.raises(EvaluationFailed, match="none of 1 networks could be scored; the last one: known: the score"):
        foremost(archs[2:3], Known(), 3, "random", Silence())
