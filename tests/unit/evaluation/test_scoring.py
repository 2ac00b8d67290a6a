"""Scores of networks that stand alone, of paths on shared weights, and of short trainings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from hwnas.compose import toy_data
from hwnas.core.errors import EvaluationFailed
from hwnas.core.protocols import NoCheckpoints, Silence
from hwnas.data.images import ImageData, MemorySplit
from hwnas.data.sampling import training_indices
from hwnas.data.stream import evaluation_batches
from hwnas.data.transform import normalise
from hwnas.evaluation.shared_weights import SharedWeights
from hwnas.evaluation.standalone import score
from hwnas.evaluation.trained_alone import TrainedAlone
from hwnas.nn.build import build
from hwnas.nn.supernet import PathSupernet
from hwnas.spaces.toy import ToySpace
from hwnas.training.device import TrainingDevice
from hwnas.training.recipe import Recipe

CPU = TrainingDevice("cpu")
SPACE = ToySpace()
ARCH = SPACE.optimum


@pytest.fixture(scope="module")
def data() -> ImageData:
    return toy_data()


def stirred(module: nn.Module) -> nn.Module:
    """Running statistics that belong to nothing."""
    generator = torch.Generator().manual_seed(5)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(generator=generator)
            part.running_var.uniform_(0.1, 5.0, generator=generator)
    return module


def test_a_score_by_hand(data: ImageData) -> None:
    network = stirred(build(SPACE.decode(ARCH))).train()
    found = score(network, data, data.search, CPU, batch_size=300)  # the last batch is smaller
    assert not network.training
    ((images, labels),) = evaluation_batches(data, data.search, 1000, CPU.torch)
    with torch.no_grad():
        scores = network(images)
    assert found.quality.loss == pytest.approx(functional.cross_entropy(scores, labels).item(), rel=1e-5)
    assert list(found.correct) == (scores.argmax(1) == labels).tolist()
    assert found.quality.accuracy == sum(found.correct) / 1000
    assert (found.quality.images, found.quality.evaluator) == (1000, "stand-alone")


def test_a_path_is_scored_with_batch_statistics(data: ImageData) -> None:
    supernet = PathSupernet(SPACE, seed=0)
    found = SharedWeights(supernet, data, CPU, images=600).evaluate(ARCH)
    losses, right = 0.0, 0
    supernet.train()
    for rows in training_indices(len(data.search), 250, 0, "score", steps=2):  # 600 images hold two whole batches
        images, labels = next(data.search.batches([rows]))
        with torch.no_grad():
            scores = supernet(normalise(images, data, CPU.torch), ARCH)
        losses += functional.cross_entropy(scores, labels, reduction="sum").item()
        right += int((scores.argmax(1) == labels).sum())
    assert found.loss == pytest.approx(losses / 500, rel=1e-6) and found.accuracy == right / 500
    assert (found.images, found.evaluator) == (500, "shared-weights")


def test_a_split_that_is_sorted_by_class_is_scored_in_mixed_batches(data: ImageData) -> None:
    # Batch statistics of one class alone made trained weights score worse than guessing.
    order = data.search.labels.argsort(stable=True)
    assert isinstance(data.search, MemorySplit)
    sorted_split = MemorySplit(data.search.images[order], data.search.labels[order])
    watched = replace(data, search=Counted(sorted_split))
    SharedWeights(PathSupernet(SPACE, seed=0), watched, CPU, images=1000).evaluate(ARCH)
    assert len(watched.search.shares) == 4
    assert all(0.4 < share < 0.6 for share in watched.search.shares)


def test_a_path_is_scored_without_running_statistics(data: ImageData) -> None:
    plain = PathSupernet(SPACE, seed=0)
    moved = PathSupernet(SPACE, seed=0)
    stirred(moved).eval()
    first, second = (SharedWeights(net, data, CPU, images=500).evaluate(ARCH) for net in (plain, moved))
    assert first == second


def test_no_order_of_scoring_changes_a_score(data: ImageData) -> None:
    archs = list(SPACE.choices.enumerate())[:6]
    forwards, backwards = (SharedWeights(PathSupernet(SPACE, seed=0), data, CPU, images=250) for _ in range(2))
    there = {arch: forwards.evaluate(arch) for arch in archs}
    assert {arch: backwards.evaluate(arch) for arch in reversed(archs)} == there


class Counted:
    """A split that counts the images that are asked for."""

    def __init__(self, split: MemorySplit) -> None:
        self.split = split
        self.labels = split.labels
        self.read = 0
        self.shares: list[float] = []

    def __len__(self) -> int:
        return len(self.split)

    def batches(self, indices: Iterable[torch.Tensor]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for images, labels in self.split.batches(indices):
            self.read += len(labels)
            self.shares.append(float((labels == 0).float().mean()))
            yield images, labels


def test_as_many_images_are_scored_as_whole_batches_hold(data: ImageData) -> None:
    assert isinstance(data.search, MemorySplit)
    counted = Counted(data.search)
    watched = ImageData(
        data.name, data.class_names, data.input_shape, data.mean, data.std, data.train, counted, data.test, "none", "x"
    )
    evaluator = SharedWeights(PathSupernet(SPACE, seed=0), watched, CPU, images=400)
    first = evaluator.evaluate(ARCH)
    assert counted.read == first.images == 250
    evaluator.evaluate(next(SPACE.choices.enumerate()))
    assert evaluator.evaluate(SPACE.choices.architecture(ARCH.as_dict())) == first and counted.read == 750


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_a_loss_that_is_no_finite_number_names_the_architecture(data: ImageData, value: float) -> None:
    supernet = PathSupernet(SPACE, seed=0)
    with torch.no_grad():
        supernet.places[-1]["fixed"].get_parameter("linear.bias")[0] = value
    with pytest.raises(EvaluationFailed, match=ARCH.id):
        SharedWeights(supernet, data, CPU, images=250).evaluate(ARCH)


def test_trained_alone_by_its_own_weights(data: ImageData) -> None:
    names: list[str] = []

    def checkpoints(name: str) -> NoCheckpoints:
        names.append(name)
        return NoCheckpoints()

    def evaluator(steps: int) -> TrainedAlone:
        recipe = Recipe(batch_size=32)
        return TrainedAlone(
            SPACE, data, recipe, steps=steps, seed=0, device=CPU, checkpoints=checkpoints, progress=Silence()
        )

    short = evaluator(4)
    first = short.evaluate(ARCH)
    assert set(names) == set(TrainedAlone.names(ARCH))
    assert evaluator(4).evaluate(ARCH) == first != evaluator(8).evaluate(ARCH)
    assert first.images == len(data.search) and np.isfinite(first.loss)
