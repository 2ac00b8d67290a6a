"""ProxylessNAS, gradient form (Proxyless-G): weights and gates are trained in turn on one path's memory.

Source: Cai, Zhu, Han 2019, "ProxylessNAS: Direct Neural Architecture Search on Target Task and Hardware".
Differs:
- the latency loss is |E/T − 1| by default (core/objective.py has the paper's and the code's);
- E is exact, its gradient compares the two sampled options (nn/gates.py);
- Zero needs no special case: an option is the whole residual layer, so a removed one still gives a gate gradient;
- the steps are counted in thousands, not in ImageNet epochs, and α learns at 0.03 instead of 0.001 accordingly.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hwnas.core.cost import CostTerms
from hwnas.core.objective import AbsoluteLoss, LatencyLoss
from hwnas.core.protocols import Checkpoints, PathSpace, Progress
from hwnas.core.seeds import rng_for
from hwnas.data.images import ImageData
from hwnas.data.stream import training_batches
from hwnas.nn.gates import Gates, expected_cost_of_pairs, gate_to_alpha, pair_probabilities, rescale
from hwnas.nn.supernet import PathSupernet, frozen
from hwnas.training.device import TrainingDevice
from hwnas.training.fit import CHECKPOINT_EVERY, REPORT_EVERY, finite, weight_step
from hwnas.training.recipe import Recipe, Schedule
from hwnas.training.state import LoopState


@dataclass(frozen=True, slots=True)
class ProxylessGSettings:
    """What can be set about the search.

    Args:
        steps: weight steps in all; architecture steps come on top.
        warmup_share: share of the weight steps before the first architecture step (paper: 40 of 160 epochs).
        architecture_every: an architecture step after every so many weight steps.
        alpha_lr: learning rate of Adam (β1 = 0, β2 = 0.999) on α.
        loss: how latency is paid for.
        recipe: how the shared weights are trained (paper: SGD, Nesterov 0.9, cosine, label smoothing 0.1).
    """

    steps: int
    warmup_share: float = 0.5
    architecture_every: int = 1
    alpha_lr: float = 0.03
    loss: LatencyLoss = AbsoluteLoss()
    recipe: Recipe = Recipe(average_share=0.0)

    @property
    def warmup_steps(self) -> int:
        """Weight steps before the first architecture step."""
        return round(self.warmup_share * self.steps)

    def has_architecture_step(self, step: int) -> bool:
        """Whether an architecture step follows weight step `step` (0, 1, …)."""
        return step >= self.warmup_steps and (step - self.warmup_steps) % self.architecture_every == 0

    @property
    def architecture_steps(self) -> int:
        """Architecture steps in all."""
        return sum(self.has_architecture_step(step) for step in range(self.steps))


@dataclass(frozen=True)
class Searched:
    """What a search leaves: trained shared weights and learned gates.

    Args:
        supernet: the shared weights.
        gates: the learned distribution over architectures.
        images_seen: training and search images drawn, both kinds of step together.
    """

    supernet: PathSupernet
    gates: Gates
    images_seen: int


def search(
    space: PathSpace, data: ImageData, terms: CostTerms, target_ms: float, settings: ProxylessGSettings, *, seed: int,
    device: TrainingDevice, checkpoints: Checkpoints, progress: Progress, purpose: str = "search",
) -> Searched:  # fmt: skip
    """Trains shared weights and gates; with a warm-up share of 1 it trains a supernet on uniform paths.

    Args:
        space: what is searched.
        data: weights learn on its train split, gates on its search split.
        terms: the latency model over the choices, in milliseconds.
        target_ms: T of the latency loss.
        settings: how.
        seed: of the run.
        device: where it runs.
        checkpoints: where the loop keeps its state; a search that was cut off goes on from there.
        progress: told how far it is, with expected latency and gate entropy.
        purpose: names this search; seeds and progress go by it.

    Raises:
        EvaluationFailed: the loss is not a number any more.
    """
    supernet = PathSupernet(space, seed)
    device.place(supernet)
    gates = Gates(space.choices, rng_for(seed, purpose, "gates"))
    schedule = Schedule(supernet, settings.recipe, settings.steps)
    alpha_optimizer = torch.optim.Adam([gates.alpha], lr=settings.alpha_lr, betas=(0.0, 0.999))
    optimizers = {"weights": schedule.optimizer, "alpha": alpha_optimizer}
    state = LoopState({"supernet": supernet, "gates": gates}, optimizers)
    start = state.restore(checkpoints)
    architecture_steps = sum(settings.has_architecture_step(step) for step in range(start))
    progress.stage(purpose, settings.steps)

    batch = settings.recipe.batch_size
    train = training_batches(
        data, data.train, batch, seed=seed, purpose=f"{purpose}/train", start=start, stop=settings.steps,
        device=device.torch,
    )  # fmt: skip
    held_out = training_batches(
        data, data.search, batch, seed=seed, purpose=f"{purpose}/gates", start=architecture_steps,
        stop=settings.architecture_steps, device=device.torch, augmented=False,
    )  # fmt: skip
    supernet.train()
    for step, (images, labels) in enumerate(train, start=start):
        path = gates.sample(rng_for(seed, purpose, "path", step))
        forward = partial(supernet, arch=path)
        loss = weight_step(forward, images, labels, schedule.at(step), settings.recipe, device)
        if settings.has_architecture_step(step):
            images, labels = next(held_out)
            rng = rng_for(seed, purpose, "pairs", step)
            pairs_loss = architecture_step(supernet, gates, images, labels, terms, target_ms, settings.loss,
                                           alpha_optimizer, rng, device)  # fmt: skip
            finite(pairs_loss, purpose, step)
        done = step + 1
        if done % REPORT_EVERY == 0 or done == settings.steps:
            _report(progress, purpose, done, finite(loss, purpose, done), gates, terms)
        if done % CHECKPOINT_EVERY == 0 or done == settings.steps:
            state.save(checkpoints, done)
    images_seen = batch * (settings.steps + settings.architecture_steps)
    return Searched(supernet, gates, images_seen)


def architecture_step(
    supernet: PathSupernet, gates: Gates, images_BCHW: Tensor, labels: Tensor, terms: CostTerms, target_ms: float,
    loss_form: LatencyLoss, alpha_optimizer: torch.optim.Optimizer, rng: np.random.Generator, device: TrainingDevice,
) -> Tensor:  # fmt: skip
    """One update of α by two sampled paths: this is where ProxylessNAS uses latency.

    The cross-entropy reaches α through the gates (∂L/∂g, then equation 4), the latency through the probabilities.

    Returns:
        The loss before the update.
    """
    pairs = gates.sample_pairs(rng)
    before = gates.alpha.detach().clone()
    switch = torch.tensor([1.0, 0.0], device=device.torch).repeat(len(before), 1).requires_grad_(True)
    with frozen(supernet), device.precision():
        scores = supernet.forward_two_paths(images_BCHW, pairs.active, pairs.other, switch)
        cross_entropy = functional.cross_entropy(scores, labels).float().cpu()

    p = pair_probabilities(gates.alpha, pairs)
    expected_ms = expected_cost_of_pairs(gates, p, pairs, gates.cost_matrix(terms), terms.constant)
    loss: Tensor = loss_form(cross_entropy, expected_ms, target_ms)
    gate_gradient, p_gradient = torch.autograd.grad(loss, (switch, p))

    pair_gradient = gate_to_alpha(gate_gradient.cpu() + p_gradient, p.detach())
    gates.alpha.grad = torch.zeros_like(before).scatter_(1, pairs.columns, pair_gradient)
    alpha_optimizer.step()
    with torch.no_grad():
        rescale(gates.alpha, before, pairs)
    return loss.detach()


def _report(progress: Progress, purpose: str, done: int, loss: float, gates: Gates, terms: CostTerms) -> None:
    expected_ms, entropy = gates.expected_cost(terms), gates.entropy()
    progress.advance(done, {"loss": loss, "expected_ms": expected_ms, "gate entropy": entropy})
    line = {"stage": purpose, "step": done, "loss": loss, "expected_ms": expected_ms, "entropy": entropy}
    progress.record({**line, "gates": gates.as_dict()} if done % (5 * REPORT_EVERY) == 0 else line)
