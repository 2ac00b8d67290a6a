"""Scoring architectures without training them: what random weights and one batch of images tell (zero-cost proxies).

A zero-cost score puts networks in an order and says nothing of accuracy, so what is told here is a `Rating`: it can be
ranked by, and where an accuracy is needed the type checker refuses it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from hwnas.core.architecture import Architecture
from hwnas.core.errors import EvaluationFailed, InputError, UnknownName, said_of
from hwnas.core.protocols import SearchSpace
from hwnas.core.seeds import seed_for
from hwnas.core.trial import Rating
from hwnas.data.images import ImageData
from hwnas.data.stream import training_batches
from hwnas.nn.build import build, initialise
from hwnas.training.device import TrainingDevice

BATCH = 64  # images, as Abdelfattah et al. 2021
# What lets a value pass or holds it back by its sign; the gates of squeeze-excite do not.
_RECTIFIERS = (functional.relu, functional.relu6, functional.hardswish, functional.silu)


@dataclass(frozen=True)
class Batch:
    """What the scores look at.

    Args:
        images_BCHW: normalised.
        labels: int64, shape (B,).
    """

    images_BCHW: Tensor
    labels: Tensor


ZeroCostScore = Callable[[nn.Module, Batch], float]  # of a network of its own, which it may change; higher is better


def naswot(network: nn.Module, batch: Batch) -> float:
    """The logarithm of det K, where K_ij counts the rectifiers that images i and j switch alike.

    It is large where a network tells the images apart, and −infinity where it cannot tell two of them apart.

    Source: Mellor, Turner, Storkey, Crowley 2021, "Neural Architecture Search without Training", equation 2; as in
        their released code, K is summed over layers and batch-norm uses the batch's own statistics.
    Differs: ReLU6, hard-swish and swish count like ReLU, by the sign of what they read.

    Raises:
        EvaluationFailed: the network has no rectifier.
    """
    codes = _Codes()
    with torch.no_grad(), codes:
        network.train()(batch.images_BCHW)
    if codes.kernel is None:
        raise EvaluationFailed("naswot needs a network with ReLU, ReLU6, hard-swish or swish")
    return float(torch.linalg.slogdet(codes.kernel).logabsdet)


def synflow(network: nn.Module, batch: Batch) -> float:
    """Σ w·∂R/∂w over all weights made positive, R the sum of the outputs for an image of ones.

    Source: Tanaka, Kunin, Yamins, Ganguli 2020, "Pruning neural networks without any data by iteratively conserving
        synaptic flow", their R_SF; summed over the network by Abdelfattah, Mehrotra, Dudziak, Lane 2021, "Zero-Cost
        Proxies for Lightweight NAS".
    Differs: batch-norm, which the code of the latter leaves out, uses the statistics that it begins with, and divides
        by √(1 + eps); every rectifier passes what it reads, as ReLU does, for all values are positive, while ReLU6
        would saturate.
    """
    network.eval().to("cpu", torch.float64)  # the flow grows with every layer; not every accelerator has float64
    weights = _weights(network)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
    with _Passing():
        flow = network(torch.ones_like(batch.images_BCHW[:1], device="cpu", dtype=torch.float64)).sum()
    gradients = torch.autograd.grad(flow, weights)
    return float(sum((weight.detach() * gradient).sum() for weight, gradient in zip(weights, gradients, strict=True)))


def gradient_norm(network: nn.Module, batch: Batch) -> float:
    """Σ ‖∂L/∂w‖₂ over the layers, L the cross-entropy of the batch.

    Source: Abdelfattah et al. 2021 and their released code: norms of layers are added up, convolutions and linear
        layers count, biases and batch-norms do not.
    """
    return float(sum(gradient.norm() for _, gradient in _loss_gradients(network, batch)))


def snip(network: nn.Module, batch: Batch) -> float:
    """Σ |w·∂L/∂w| over all weights, L the cross-entropy of the batch: by how much it would change without them.

    Source: Lee, Ajanthan, Torr 2019, "SNIP: Single-shot Network Pruning based on Connection Sensitivity", the
        numerator of equation 5; summed over the network by Abdelfattah et al. 2021.
    """
    return float(sum((weight * gradient).abs().sum() for weight, gradient in _loss_gradients(network, batch)))


SCORES: Mapping[str, ZeroCostScore] = {
    "naswot": naswot,
    "synflow": synflow,
    "gradient-norm": gradient_norm,
    "snip": snip,
}


@final
class ZeroCost:
    """A Ranker: the score of an architecture with random weights, on one batch of the train split.

    Args:
        space: decodes the architectures.
        data: its train split gives the batch, drawn at random, not augmented.
        score: by name, one of SCORES.
        seed: draws the batch, the same for every architecture, and each architecture's weights.
        device: where it runs, in f32.
        images: of the batch.

    Raises:
        UnknownName: no such score.
    """

    def __init__(
        self, space: SearchSpace, data: ImageData, score: str, *, seed: int, device: TrainingDevice, images: int = BATCH
    ) -> None:
        if score not in SCORES:
            raise UnknownName("zero-cost score", score, SCORES)
        self._space = space
        self._name = score
        self._data = data.name
        self._seed = seed
        self._device = device
        drawn = training_batches(
            data, data.train, images, seed=seed, purpose="zero-cost", start=0, stop=1, device=device.torch,
            augmented=False,
        )  # fmt: skip
        self._batch = Batch(*next(drawn))

    def evaluate(self, arch: Architecture) -> Rating:
        """The score of one architecture.

        Raises:
            Diverged: the score is infinite or not a number.
            EvaluationFailed: the network has nothing that the score looks at.
            InputError: it reads images of another shape.
        """
        spec = self._space.decode(arch)
        shape = tuple(self._batch.images_BCHW.shape[1:])
        if spec.input_shape != shape:
            raise InputError(
                f"networks of space {arch.space} read images of {spec.input_shape}, and those of {self._data} are "
                f"{shape}: make the space for these images"
            )
        network = build(spec)
        initialise(network, seed_for(self._seed, "zero-cost", arch.id))
        with said_of(f"architecture {arch.id}"):
            score = SCORES[self._name](self._device.place(network), self._batch)
            return Rating(score, len(self._batch.labels), self._name)


def _weights(network: nn.Module) -> list[Tensor]:
    """Of convolutions and linear layers, in order."""
    return [part.weight for part in network.modules() if isinstance(part, (nn.Conv2d, nn.Linear))]


def _loss_gradients(network: nn.Module, batch: Batch) -> list[tuple[Tensor, Tensor]]:
    """(weight, ∂L/∂weight) of every convolution and linear layer."""
    weights = _weights(network)
    loss = functional.cross_entropy(network.train()(batch.images_BCHW), batch.labels)
    return [
        (weight.detach(), gradient)
        for weight, gradient in zip(weights, torch.autograd.grad(loss, weights), strict=True)
    ]


class _Codes(TorchFunctionMode):
    """Within, sums up how often two images of a batch switch a rectifier alike; what is computed stays as it is."""

    kernel: Tensor | None = None  # (images, images) float64

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        if func in _RECTIFIERS:
            on = (args[0].flatten(1) > 0).float()  # counts up to 2²⁴ are exact
            alike = (on @ on.T + (1 - on) @ (1 - on).T).to("cpu", torch.float64)
            self.kernel = alike if self.kernel is None else self.kernel + alike
        return func(*args, **(kwargs or {}))


class _Passing(TorchFunctionMode):
    """Within, a rectifier gives back what it reads."""

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        return args[0] if func in _RECTIFIERS else func(*args, **(kwargs or {}))
