"""The training loop step by step, its checkpoints, its devices, and batch-norm recalibration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from hwnas.compose import toy_data
from hwnas.core.errors import EvaluationFailed, TargetUnavailable, UnknownName
from hwnas.core.protocols import Checkpoint, Checkpoints, NoCheckpoints, Silence
from hwnas.data.images import ImageData, MemorySplit
from hwnas.data.stream import evaluation_batches, training_batches
from hwnas.nn.build import BuiltNetwork, arrays_of, build
from hwnas.nn.supernet import PathSupernet, frozen
from hwnas.runs.checkpoints import CheckpointDirectory
from hwnas.spaces.proxyless import proxyless_space
from hwnas.spaces.toy import ToySpace
from hwnas.training.device import TrainingDevice, training_device
from hwnas.training.fit import recalibrate, train, weight_step
from hwnas.training.recipe import Recipe, Schedule

CPU = TrainingDevice("cpu")
RECIPE = Recipe(batch_size=16, average_share=0.3)


@pytest.fixture(scope="module")
def data() -> ImageData:
    return toy_data()


def network() -> BuiltNetwork:
    space = ToySpace()
    return build(space.decode(space.optimum))


def trained(data: ImageData, recipe: Recipe = RECIPE, steps: int = 20, **parts: Any) -> nn.Module:
    given = {"device": CPU, "checkpoints": NoCheckpoints(), "progress": Silence(), **parts}
    return train(network(), data, recipe, steps=steps, seed=0, purpose="train", **given).network


def same_bits(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray]) -> None:
    assert list(a) == list(b)
    for name, array in a.items():
        assert array.tobytes() == b[name].tobytes(), name


def test_the_loop_is_weight_steps_and_a_warmed_up_average(data: ImageData) -> None:
    found = trained(data, steps=12)
    by_hand, schedule = network(), Schedule(network(), RECIPE, 12)
    CPU.place(by_hand).train()
    schedule = Schedule(by_hand, RECIPE, 12)
    average = {name: value.clone() for name, value in by_hand.state_dict().items()}
    batches = training_batches(data, data.train, 16, seed=0, purpose="train", start=0, stop=12, device=CPU.torch)
    for step, (images, labels) in enumerate(batches):
        weight_step(by_hand, images, labels, schedule.at(step), RECIPE, CPU)
        since = max(0, step - 1)
        decay = min(RECIPE.average_decay(12), 1 - (1 + since) ** -0.9)
        for name, value in by_hand.state_dict().items():
            average[name] += (1 - decay) * (value - average[name])
    assert not found.training
    for name, value in found.state_dict().items():
        torch.testing.assert_close(value, average[name], rtol=1e-4, atol=1e-6)


def test_without_an_average_the_network_itself_comes_back(data: ImageData) -> None:
    start = network()
    recipe = Recipe(batch_size=16, average_share=0.0)
    end = train(
        start, data, recipe, steps=2, seed=0, purpose="train", device=CPU, checkpoints=NoCheckpoints(),
        progress=Silence(),
    )  # fmt: skip
    assert end.network is start and end.setbacks == ()


def test_a_weight_step_by_hand() -> None:
    layer = nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    recipe = Recipe(label_smoothing=0.0, clip_norm=100.0)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.5)
    loss = weight_step(layer, torch.tensor([[2.0, 0.0]]), torch.tensor([0]), optimizer, recipe, CPU)
    p = 1 / (1 + np.exp(-2.0))  # of the right class
    assert loss.item() == pytest.approx(-np.log(p))
    expected = torch.tensor([[1 + 0.5 * (1 - p) * 2, 0.0], [-0.5 * (1 - p) * 2, 1.0]])
    torch.testing.assert_close(layer.weight.detach(), expected, check_dtype=False)
    assert layer.weight.grad is None


def test_gradients_are_clipped_together() -> None:
    layer = nn.Linear(2, 2, bias=False)
    before = layer.weight.detach().clone()
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    weight_step(layer, torch.full((1, 2), 1e4), torch.tensor([0]), optimizer, Recipe(clip_norm=0.25), CPU)
    assert (layer.weight.detach() - before).norm().item() == pytest.approx(0.25, rel=1e-4)


# checkpoints


class CutOff(Exception):
    pass


class CutOffAfterSaving:
    """Checkpoints of a process that is killed right after its first one."""

    def __init__(self, kept: Checkpoints) -> None:
        self.kept = kept

    def latest(self) -> Checkpoint | None:
        return self.kept.latest()

    def due(self, step: int) -> bool:
        return self.kept.due(step)

    def save(self, checkpoint: Checkpoint) -> None:
        self.kept.save(checkpoint)
        if checkpoint.step > 0:
            raise CutOff


@pytest.mark.parametrize("recipe", [RECIPE, Recipe(optimizer="adamw", lr=0.01, batch_size=16)], ids=["sgd", "adamw"])
def test_twenty_steps_are_ten_a_checkpoint_on_disk_and_ten(data: ImageData, recipe: Recipe, tmp_path: Path) -> None:
    whole = CheckpointDirectory(tmp_path / "whole", every=10)
    halved = CheckpointDirectory(tmp_path / "halved", every=10)
    expected = trained(data, recipe, checkpoints=whole)
    with pytest.raises(CutOff):
        trained(data, recipe, checkpoints=CutOffAfterSaving(halved))
    cut = halved.latest()
    assert cut is not None and cut.step == 10
    resumed = trained(data, recipe, checkpoints=halved)
    same_bits(arrays_of(expected), arrays_of(resumed))
    last, last_resumed = whole.latest(), halved.latest()
    assert last is not None and last_resumed is not None and last.step == last_resumed.step == 20
    same_bits(last.arrays, last_resumed.arrays)
    same_bits(arrays_of(expected), arrays_of(trained(data, recipe, checkpoints=whole)))  # nothing is left to do


def test_a_loss_that_is_not_a_number_ends_the_training(data: ImageData, tmp_path: Path) -> None:
    recipe = Recipe(lr=1e30, clip_norm=1e30, batch_size=16, warmup_share=0.0)
    with pytest.raises(EvaluationFailed, match=r"train: the loss is nan at step 2; try a lower learning rate"):
        trained(data, recipe)  # nowhere to go back to
    with pytest.raises(EvaluationFailed, match=r"train: the loss is nan at step 2, after 3 returns"):
        trained(data, recipe, checkpoints=CheckpointDirectory(tmp_path))


# devices


def test_autocast_trains_in_bfloat16_and_keeps_weights_in_f32(data: ImageData) -> None:
    device = TrainingDevice("cpu", autocast=True)
    seen: list[torch.dtype] = []
    with device.precision():
        seen.append(network()(torch.rand(1, 1, 4, 32)).dtype)
    assert seen == [torch.bfloat16]
    before = arrays_of(network())
    after = trained(data, steps=20, device=device)
    assert all(value.dtype == torch.float32 for value in after.state_dict().values())
    assert all(np.isfinite(array).all() for array in arrays_of(after).values())
    assert not np.array_equal(before["conv1.conv.weight"], arrays_of(after)["conv1.conv.weight"])


def test_the_path_that_a_gpu_takes_runs_on_the_meta_device() -> None:
    # Meta tensors compute nothing, but refuse to meet tensors of another device: what is left on the CPU is found.
    space = proxyless_space("proxyless-small", (3, 24, 24), 10, width=0.5)
    meta = TrainingDevice("meta")
    supernet = PathSupernet(space, seed=0)
    meta.place(supernet).train()
    recipe = Recipe()
    schedule = Schedule(supernet, recipe, 10)
    images = torch.empty(4, 3, 24, 24, device="meta").contiguous(memory_format=torch.channels_last)
    labels = torch.empty(4, dtype=torch.int64, device="meta")
    first, second = (space.choices.sample(np.random.default_rng(seed)) for seed in (0, 1))
    for step in range(2):
        loss = weight_step(lambda x: supernet(x, first), images, labels, schedule.at(step), recipe, meta)
        assert loss.device.type == "meta"
    with frozen(supernet):
        switch = torch.empty(len(space.choices.choices), 2, device="meta", requires_grad=True)
        scores = supernet.forward_two_paths(images, first, second, switch)
        (gradient,) = torch.autograd.grad(functional.cross_entropy(scores, labels), switch)
    assert gradient.shape == switch.shape and gradient.device.type == "meta"


def test_channels_last_wherever_it_runs() -> None:
    placed = CPU.place(network())
    weight = placed.get_parameter("conv1.conv.weight")
    assert weight.is_contiguous(memory_format=torch.channels_last)


def test_devices_by_name() -> None:
    assert training_device("cpu") == CPU
    assert training_device("auto").name in ("cpu", "cuda", "mps")
    with pytest.raises(UnknownName, match="did you mean 'cuda'"):
        training_device("cuda0")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_device_that_is_not_there_is_said() -> None:
    with pytest.raises(TargetUnavailable, match="use --train-on cpu"):
        training_device("cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here: the meta device stands in for it")
def test_a_gpu_trains(data: ImageData) -> None:
    after = trained(data, device=training_device("cuda"))
    assert all(np.isfinite(array).all() for array in arrays_of(after).values())


# recalibration


def few(data: ImageData, count: int) -> ImageData:
    assert isinstance(data.train, MemorySplit)
    split = MemorySplit(data.train.images[:count], data.train.labels[:count])
    return ImageData("few", data.class_names, data.input_shape, data.mean, data.std, split, split, split, "shift", "x")


def test_recalibration_is_mean_and_variance_over_the_images(data: ImageData) -> None:
    part, net = few(data, 40), network()
    momentum = net.get_submodule("stem.bn").momentum
    recalibrate(net, part, images=40, device=CPU)
    (images, _), *_ = evaluation_batches(part, part.train, 40, CPU.torch)  # unaugmented
    with torch.no_grad():
        value = net.get_submodule("stem.conv")(images)
    norm = net.get_submodule("stem.bn")
    torch.testing.assert_close(norm.running_mean, value.mean(dim=(0, 2, 3)), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(norm.running_var, value.var(dim=(0, 2, 3)), rtol=1e-4, atol=1e-6)
    assert not net.training and norm.momentum == momentum


def test_recalibration_over_batches_is_their_plain_mean(data: ImageData) -> None:
    part, net = few(data, 500), network()
    recalibrate(net, part, images=500, device=CPU)
    batches = training_batches(
        part, part.train, 250, seed=0, purpose="recalibrate", start=0, stop=2, device=CPU.torch, augmented=False
    )
    with torch.no_grad():
        values = [net.get_submodule("stem.conv")(images) for images, _ in batches]
    norm = net.get_submodule("stem.bn")
    mean, var = (sum(getattr(v, name)(dim=(0, 2, 3)) for v in values) / 2 for name in ("mean", "var"))
    torch.testing.assert_close(norm.running_mean, mean, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(norm.running_var, var, rtol=1e-4, atol=1e-6)


def test_recalibration_moves_no_weight(data: ImageData) -> None:
    net = network()
    before = {name: value.clone() for name, value in net.named_parameters()}
    recalibrate(net, few(data, 40), images=40, device=CPU)
    assert all(torch.equal(value, before[name]) for name, value in net.named_parameters())
