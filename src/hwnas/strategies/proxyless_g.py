"""ProxylessNAS, gradient form (Proxyless-G): weights and gates are trained in turn on one path's memory.

Source: Cai, Zhu, Han 2019, "ProxylessNAS: Direct Neural Architecture Search on Target Task and Hardware".
Differs:
- the latency loss is |E/T − 1| by default (core/objective.py has the paper's and the code's);
- E is exact, its gradient compares the two sampled options (nn/gates.py);
- Zero needs no special case: an option is the whole residual layer, so a removed one still gives a gate gradient;
- the steps are counted in thousands, not in ImageNet epochs, and α learns at 0.03 instead of 0.001 accordingly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hwnas.core.collapse import Shares, Watch
from hwnas.core.cost import CostTerms
from hwnas.core.objective import AbsoluteLoss, LatencyLoss
from hwnas.core.protocols import Checkpoints, PathSpace, Progress
from hwnas.core.seeds import rng_for
from hwnas.data.images import ImageData
from hwnas.data.stream import training_batches
from hwnas.nn.gates import Gates, expected_cost_of_pairs, gate_to_alpha, pair_probabilities, rescale
from hwnas.nn.supernet import PathSupernet, frozen
from hwnas.training.device import TrainingDevice
from hwnas.training.fit import weight_step
from hwnas.training.loop import REPORT_EVERY, Loop, Setback
from hwnas.training.memory import memory_for
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
        setbacks: returns to an earlier step because a loss was not finite.
        ended: how decided the gates are, what they remove, and where their latency lies; None where nobody looked.
    """

    supernet: PathSupernet
    gates: Gates
    images_seen: int
    setbacks: tuple[Setback, ...] = ()
    ended: Shares | None = None


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
        progress: told how far it is, with expected latency, gate entropy and what `core.collapse` looks at.
        purpose: names this search; seeds and progress go by it.

    Raises:
        EvaluationFailed: the loss is not finite, and lower learning rates have not helped; or memory ran out.
    """
    supernet = PathSupernet(space, seed)
    device.place(supernet)
    gates = Gates(space.choices, rng_for(seed, purpose, "gates"))
    schedule = Schedule(supernet, settings.recipe, settings.steps)
    alpha_optimizer = torch.optim.Adam([gates.alpha], lr=settings.alpha_lr, betas=(0.0, 0.999))
    optimizers = {"weights": schedule.optimizer, "alpha": alpha_optimizer}
    state = LoopState({"supernet": supernet, "gates": gates}, optimizers)
    loop = Loop(purpose, settings.steps, state, checkpoints, progress)

    batch = settings.recipe.batch_size
    batches = partial(_batches, data, settings, seed=seed, purpose=purpose, device=device)
    watch = Watch.over(space, terms, target_ms)
    facts = partial(_facts, gates, terms, watch)
    supernet.train()
    with memory_for(purpose, batch):
        for step, (images, labels, held_out) in loop.steps(batches):
            path = gates.sample(rng_for(seed, purpose, "path", step))
            optimizer = schedule.at(step, loop.lr_scale)
            losses = [weight_step(partial(supernet, arch=path), images, labels, optimizer, settings.recipe, device)]
            if held_out is not None:
                rng = rng_for(seed, purpose, "pairs", step)
                losses += [architecture_step(supernet, gates, *held_out, terms, target_ms, settings.loss,
                                             alpha_optimizer, rng, device)]  # fmt: skip
            loop.finish(step, losses, facts)
    images_seen = batch * (settings.steps + settings.architecture_steps)
    ended = watch.shares(settings.steps, gates.as_dict(), gates.expected_cost(terms))
    return Searched(supernet, gates, images_seen, loop.setbacks, ended)


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


def _batches(
    data: ImageData, settings: ProxylessGSettings, start: int, *, seed: int, purpose: str, device: TrainingDevice
) -> Iterator[tuple[Tensor, Tensor, tuple[Tensor, Tensor] | None]]:
    """(images, labels, a batch for the gates or None) of every step from `start` on."""
    draw = partial(training_batches, data, batch_size=settings.recipe.batch_size, seed=seed, device=device.torch)
    train = draw(split=data.train, purpose=f"{purpose}/train", start=start, stop=settings.steps)
    held_out = draw(split=data.search, purpose=f"{purpose}/gates", augmented=False,
                    start=sum(map(settings.has_architecture_step, range(start))),
                    stop=settings.architecture_steps)  # fmt: skip
    for step, (images, labels) in enumerate(train, start=start):
        yield images, labels, next(held_out) if settings.has_architecture_step(step) else None


def _facts(gates: Gates, terms: CostTerms, watch: Watch, done: int) -> dict[str, Any]:
    expected_ms, probabilities = gates.expected_cost(terms), gates.as_dict()
    shares = watch.shares(done, probabilities, expected_ms).to_json()
    facts = {"expected_ms": expected_ms, "entropy": gates.entropy(), "shares": shares}
    return {**facts, "gates": probabilities} if done % (5 * REPORT_EVERY) == 0 else facts
